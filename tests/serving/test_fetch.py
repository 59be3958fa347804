"""Fetching an archive: only from where it is allowed, only to where it belongs, whole or not at all."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from demlopment.errors import RequestError, SettingsError
from demlopment.serving.fetch import Rules, fetched, public
from demlopment.settings import Endpoint

CONTENT = bytes(range(256)) * 5000  # longer than one chunk
Response = Callable[["Site"], None]


class Site(BaseHTTPRequestHandler):
    """One answer for each path, whole, broken or never ending."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, Response]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []  # host header and path
    over: ClassVar[threading.Event] = threading.Event()  # whoever hangs waits for it

    def do_GET(self) -> None:
        Site.asked.append((self.headers["host"], self.path))
        Site.answers[self.path.partition("?")[0]](self)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def bye(self) -> None:
        self.close_connection = True


def whole(site: Site) -> None:
    site.head(200, content_length=str(len(CONTENT)))
    site.wfile.write(CONTENT)


def chunked(site: Site) -> None:
    site.head(200, transfer_encoding="chunked")
    for at in range(0, len(CONTENT), 100_000):
        part = CONTENT[at : at + 100_000]
        site.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    site.wfile.write(b"0\r\n\r\n")


def until_closed(site: Site) -> None:
    site.head(200, connection="close")
    site.wfile.write(CONTENT)
    site.bye()


def short(site: Site) -> None:
    site.head(200, content_length=str(len(CONTENT) + 1))
    site.wfile.write(CONTENT)
    site.bye()


def half_a_chunk(site: Site) -> None:
    site.head(200, transfer_encoding="chunked")
    site.wfile.write(b"ffff\r\nonly this")
    site.bye()


def declared_huge(site: Site) -> None:
    site.head(200, content_length=str(10**12))
    site.bye()


def endless(site: Site) -> None:
    site.head(200, connection="close")
    try:
        while not Site.over.is_set():
            site.wfile.write(CONTENT)
    except OSError:  # the client has had enough
        site.bye()


def hanging_body(site: Site) -> None:
    site.head(200, connection="close")
    site.wfile.write(b"a beginning")
    Site.over.wait(60)
    site.bye()


def hanging_head(site: Site) -> None:
    Site.over.wait(60)
    site.bye()


def nonsense(site: Site) -> None:
    site.wfile.write(b"\0" * 100 + b"\r\n\r\n")
    site.bye()


def status(number: int) -> Response:
    def answer(site: Site) -> None:
        site.head(number, content_length="0")

    return answer


def to(location: str) -> Response:
    def answer(site: Site) -> None:
        site.head(302, location=location, content_length="0")

    return answer


@pytest.fixture
def site() -> Iterator[str]:
    """The base URL of a site that gives `whole` under /good.mar."""
    Site.answers, Site.asked, Site.over = {"/good.mar": whole}, [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Site.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A model store; whatever the test does, nothing half-written is left in it."""
    folder = tmp_path / "store"
    folder.mkdir()
    yield folder
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".partial")]


def rules(allowed: str = ".*", **more: Any) -> Rules:
    return Rules((re.compile(allowed),), **{"private": True, "max_bytes": 10_000_000, "seconds": 30.0, **more})


def refusal(url: str, store: Path, given: Rules) -> tuple[int, str, str]:
    before = sorted(path.name for path in store.iterdir())
    with pytest.raises(RequestError) as refused:
        fetched(url, store, given)
    assert sorted(path.name for path in store.iterdir()) == before
    return refused.value.status, refused.value.kind, str(refused.value)


@pytest.mark.parametrize("answer", [whole, chunked, until_closed])
def test_a_file_arrives_whole_under_the_name_in_its_url(site: str, store: Path, answer: Response) -> None:
    Site.answers["/some/model-1.0.mar"] = answer

    path = fetched(f"{site}/some/model-1.0.mar?version=../7", store, rules())

    assert path == store / "model-1.0.mar"
    assert path.read_bytes() == CONTENT
    assert Site.asked == [(site.removeprefix("http://"), "/some/model-1.0.mar?version=../7")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (short, f"It ended after {len(CONTENT)} of {len(CONTENT) + 1} bytes."),
        (half_a_chunk, "The transfer failed (IncompleteRead)."),
        (declared_huge, f"It has {10**12} bytes, and the limit is 10000000."),
        (endless, "It has more than 10000000 bytes."),
        (nonsense, "The transfer failed (BadStatusLine)."),
        (status(404), "The answer was 404."),
        (status(206), "The answer was 206."),
        (to("/bad.mar"), "It was redirected more than 5 times."),
        (to("http://example.org/good.mar"), "It was redirected to another host, or away from https."),
        (to("ftp://127.0.0.1/good.mar"), "It was redirected to a URL that is not allowed."),
        (to("http://user:word@127.0.0.1/good.mar"), "It was redirected to a URL that is not allowed."),
    ],
)
def test_a_failed_download_leaves_nothing_and_says_why(site: str, store: Path, answer: Response, reason: str) -> None:
    Site.answers["/bad.mar"] = answer

    said = refusal(f"{site}/bad.mar", store, rules())
    strict = refusal(f"{site}/bad.mar", store, rules(strict=True))

    assert said == (400, "DownloadArchiveException", f"Failed to download archive from: {site}/bad.mar. {reason}")
    assert strict == (400, "DownloadArchiveException", f"Failed to download archive from: {site}/bad.mar")


@pytest.mark.parametrize("answer", [hanging_head, hanging_body])
def test_who_never_finishes_is_cut_off_at_the_deadline(site: str, store: Path, answer: Response) -> None:
    Site.answers["/slow.mar"] = answer

    said = refusal(f"{site}/slow.mar", store, rules(seconds=0.3))

    assert said[:2] == (400, "DownloadArchiveException")
    assert not Site.over.is_set(), "the site was still waiting"


def test_a_port_that_nobody_listens_on_is_a_failed_download(store: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        said = refusal(f"http://127.0.0.1:{unused.getsockname()[1]}/x.mar", store, rules())

    assert said[2].endswith("The transfer failed (ConnectionRefusedError).")


def test_a_redirect_on_the_same_host_to_an_allowed_url_is_followed(site: str, store: Path) -> None:
    Site.answers |= {"/a.mar": to("/b/good.mar"), "/b/good.mar": whole}

    narrow = refusal(f"{site}/a.mar", store, rules(allowed=r".*/a\.mar"))
    path = fetched(f"{site}/a.mar", store, rules())

    assert "redirected to a URL that is not allowed" in narrow[2]
    assert path == store / "a.mar", "the name is the one that was asked for"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x.mar",  # matches no expression
        "https://models.example/x.mar.evil.example/x",  # matches only in part
        "https://models.example/ x.mar",
        "https://models.example\\@evil.example/x.mar",
        "https://models.example/x\r\nHost: evil.example/x.mar",
        "https://models.exämple/x.mar",
        "https://models.example:port/x.mar",
        "https://[models.example/x.mar",
        "https:///x.mar",
        "ftp://models.example/x.mar",
    ],
)
def test_a_url_that_is_not_allowed_is_refused_before_anything_is_looked_up(
    store: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))

    said = refusal(url, store, rules(allowed=r"(https|ftp):.*models\.ex.*\.mar"))

    assert said == (404, "ModelNotFoundException", f"Given URL {url} does not match any allowed URL(s)")


def test_a_url_with_a_password_is_refused_without_being_shown(store: Path) -> None:
    status, _, message = refusal("https://user:SECRET@models.example/x.mar", store, rules())

    assert status == 400
    assert "SECRET" not in message


@pytest.mark.parametrize("path", ["/", "", "/x/", "/.hidden", "/%00.mar", "/-x.mar"])
def test_a_url_without_a_usable_file_name_is_refused(site: str, store: Path, path: str) -> None:
    assert refusal(site + path, store, rules())[:2] == (404, "ModelNotFoundException")
    assert Site.asked == []


def test_a_file_that_exists_is_never_overwritten(site: str, store: Path) -> None:
    def late(answering: Site) -> None:
        (store / "late.mar").write_bytes(b"mine")
        whole(answering)

    (store / "good.mar").write_bytes(b"mine")
    Site.answers["/late.mar"] = late

    at_once = refusal(f"{site}/good.mar", store, rules())
    as_upstream = refusal(f"{site}/good.mar", store, rules(strict=True))
    with pytest.raises(RequestError, match=r"Model file already exists late\.mar"):
        fetched(f"{site}/late.mar", store, rules())

    assert at_once == (409, "ConflictStatusException", "Model file already exists good.mar")
    assert as_upstream == (500, "InternalServerException", "Model file already exists good.mar")
    assert (store / "good.mar").read_bytes() == (store / "late.mar").read_bytes() == b"mine"
    assert [path for _, path in Site.asked] == ["/late.mar"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # where clouds keep credentials
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.251",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "fc00::1",
        "fe80::1",
        "fe80::1%lo",
        "ff02::1",
        "2001:db8::1",
        "not an address",
    ],
)
def test_an_address_that_is_not_open_to_the_world_is_not_public(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_an_address_that_is_open_to_the_world_is_public(address: str) -> None:
    assert public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_this_machine_is_fetched_from_unless_it_is_allowed(site: str, store: Path, host: str) -> None:
    port = site.rpartition(":")[2]

    status, kind, message = refusal(f"http://{host}:{port}/good.mar", store, rules(private=False))

    assert (status, kind) == (400, "DownloadArchiveException")
    assert "is this machine or in a private network" in message
    assert Site.asked == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    assert "private network" in refusal("http://models.example/x.mar", store, rules(private=False))[2]


def test_the_connection_is_made_to_the_address_that_was_checked_and_the_name_is_looked_up_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["93.184.215.14", "127.0.0.1"])  # what a rebinding name server says, first and then
    looked_up, connected = [], []

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)

    refusal("http://models.example/x.mar", store, rules(private=False))

    assert looked_up == ["models.example"]
    assert connected == [("93.184.215.14", 80)]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost, which nobody has signed but itself, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: apt-get install openssl")
    path = tmp_path / "localhost.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", str(tmp_path / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    path.write_bytes(path.read_bytes() + (tmp_path / "certificate.pem").read_bytes())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[int]:
    """The port of a site that speaks TLS."""
    Site.answers, Site.asked, Site.over = {"/good.mar": whole}, [], threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        Site.over.set()
        server.shutdown()
        thread.join()


def test_a_certificate_must_be_trusted_and_name_the_host(secure: int, certificate: Path, store: Path) -> None:
    trusting = rules(trust=lambda: ssl.create_default_context(cafile=str(certificate)))
    Site.answers["/away.mar"] = to(f"http://localhost:{secure}/good.mar")

    stranger = refusal(f"https://localhost:{secure}/good.mar", store, rules())
    misnamed = refusal(f"https://127.0.0.1:{secure}/good.mar", store, trusting)
    downgraded = refusal(f"https://localhost:{secure}/away.mar", store, trusting)
    path = fetched(f"https://localhost:{secure}/good.mar", store, trusting)

    assert stranger[2].endswith("The transfer failed (SSLCertVerificationError).")
    assert misnamed[2].endswith("The transfer failed (SSLCertVerificationError).")
    assert downgraded[2].endswith("It was redirected to another host, or away from https.")
    assert path.read_bytes() == CONTENT
    assert Site.asked[-1] == (f"localhost:{secure}", "/good.mar")


def test_a_body_whose_encrypted_end_is_missing_is_not_taken_for_whole(secure: int, certificate: Path, store: Path) -> None:
    Site.answers["/cut.mar"] = until_closed  # closes the connection, and never says so in TLS
    trusting = rules(trust=lambda: ssl.create_default_context(cafile=str(certificate)))

    assert refusal(f"https://localhost:{secure}/cut.mar", store, trusting)[2].endswith("The transfer failed (SSLEOFError).")


def test_a_tls_site_that_hangs_is_cut_off_too(secure: int, certificate: Path, store: Path) -> None:
    Site.answers["/slow.mar"] = hanging_body
    trusting = rules(seconds=0.5, trust=lambda: ssl.create_default_context(cafile=str(certificate)))

    assert refusal(f"https://localhost:{secure}/slow.mar", store, trusting)[:2] == (400, "DownloadArchiveException")


def test_the_rules_are_the_settings_and_nothing_is_allowed_by_default() -> None:
    some = Rules.of(Endpoint(allowed_urls=r"https://a\.example/.*, https://b\.example/.*"))

    assert some.allow("https://b.example/x.mar")
    assert not some.allow("https://c.example/https://b.example/x.mar")
    assert not Rules.of(Endpoint()).allow("")
    with pytest.raises(SettingsError, match=r"endpoint\.allowed_urls has '\(', which is not a regular expression"):
        Rules.of(Endpoint(allowed_urls="("))
