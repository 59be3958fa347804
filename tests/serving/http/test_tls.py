import asyncio
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from demlopment.errors import SettingsError
from demlopment.serving.addresses import listen
from demlopment.serving.http import tls, wire
from demlopment.serving.http.limits import Limits
from demlopment.serving.http.server import Server
from demlopment.serving.http.wire import Answer, Receive, Scope, Send

SECONDS = 20  # a deadline for what must happen at once
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    alternative = ["-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", *options.split(), *alternative, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    size = len(await wire.body(receive, 1_000_000, {}))
    await wire.reply(send, Answer(200, f"{scope['scheme']} {size} bytes".encode()), "id")


async def conversation(server: Server, port: int, *clients: ssl.SSLContext | None) -> list[bytes]:
    """What each client in turn is told, or b"" if it is not let in."""
    await server.start()
    told = []
    for client in clients:
        name = "localhost" if client else None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
            with closing(writer):
                writer.write(REQUEST)
                told.append(await asyncio.wait_for(reader.readuntil(b"bytes"), SECONDS))
        except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
            told.append(b"")
    await server.drain()
    return told


def test_a_port_with_a_certificate_speaks_current_tls_and_nothing_else(files: tuple[Path, Path]) -> None:
    current = ssl.create_default_context(cafile=files[0])
    trusts_others = ssl.create_default_context()
    old = ssl.create_default_context(cafile=files[0])
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1

    async def scenario() -> list[bytes]:
        listener = listen("127.0.0.1", 0, "inference_port")
        server = Server(answer, listener, limits=Limits(header_seconds=5), context=tls.context(*files))
        return await conversation(server, listener.getsockname()[1], old, trusts_others, None, current)

    told = asyncio.run(scenario())

    assert told[:3] == [b"", b"", b""]
    assert told[3].startswith(b"HTTP/1.1 200 OK")
    assert told[3].endswith(b"https 100000 bytes")


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls.context(None, None) is None


def test_a_certificate_that_cannot_be_used_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = files
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    messages = {}

    for name, pair in {
        "alone": (certificate, None),
        "keyless": (None, key),
        "missing": (certificate, missing),
        "folder": (tmp_path, key),
        "garbage": (garbage, key),
        "swapped": (key, certificate),
    }.items():
        with pytest.raises(SettingsError) as refused:
            tls.context(*pair)
        messages[name] = str(refused.value)

    assert "private_key_file" in messages["alone"]
    assert "certificate_file" in messages["keyless"]
    assert str(missing) in messages["missing"]
    assert str(tmp_path) in messages["folder"]
    assert str(garbage) in messages["garbage"]
    assert str(certificate) in messages["swapped"]
