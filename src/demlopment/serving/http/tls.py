"""Certificates for the ports. Knows OpenSSL's files; knows no socket."""

import ssl
from pathlib import Path

from demlopment.errors import SettingsError


def context(certificate_file: Path | None, private_key_file: Path | None) -> ssl.SSLContext | None:
    """What the ports speak: TLS 1.2 or newer with this certificate (PEM, the chain below it), or plain HTTP without one.

    Raises SettingsError naming the file that is missing, unreadable or does not fit the other.
    """
    if certificate_file is None and private_key_file is None:
        return None
    certificate = _readable(certificate_file, "certificate_file")
    private_key = _readable(private_key_file, "private_key_file")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_2
    server.set_alpn_protocols(["http/1.1"])
    try:
        # Nobody is there to type a password, and OpenSSL would wait for one on the terminal.
        server.load_cert_chain(certificate, private_key, password=b"")
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError(
            f"{certificate} and {private_key} are not a PEM certificate and its private key without a password ({error}).",
            "Correct certificate_file and private_key_file.",
        ) from error
    return server


def _readable(path: Path | None, setting: str) -> Path:
    if path is None:
        raise SettingsError(
            f"TLS needs {setting} too, and it is not set.", "Set certificate_file and private_key_file, or neither."
        )
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise SettingsError(f"{setting} is {path}, which cannot be read ({error.strerror}).", "Correct the path.") from error
