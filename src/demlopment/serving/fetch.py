"""An archive from elsewhere into the model store, if the settings allow its URL. Knows HTTP; opens no archive.

A URL is what a client chose, so it must not reach what only this machine can reach (CVE-2023-43654): the host is looked
up once, each of its addresses is checked, and the connection is made to an address that was.
"""

import contextlib
import http.client
import os
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from demlopment import home
from demlopment.errors import RequestError, SettingsError

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

CONNECT_SECONDS = 10.0  # for a connection and its TLS handshake: a host that answers at all does so sooner
FETCH_SECONDS = 600.0  # for everything: 2 GB, the usual limit, at 30 Mbit/s
REDIRECTS = 5
CHUNK_BYTES = 1 << 20
VISIBLE = re.compile(r"[!-\[\]-~]+")  # ASCII without white space, control characters and the backslash, which parsers dispute
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,199}")
NAT64 = IPv6Network("64:ff9b::/96")  # its last 32 bits are an IPv4 address
MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Rules:
    """From where an archive may come, and how much of it."""

    allowed: tuple[re.Pattern[str], ...] = ()  # one must match the whole URL
    private: bool = False  # this machine and its network, too
    max_bytes: int = 2_000_000_000
    seconds: float = FETCH_SECONDS
    strict: bool = False  # TorchServe's statuses and words, with nothing added
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context

    @classmethod
    def of(cls, settings: "Endpoint") -> Self:
        """What `settings` say. Raises SettingsError for an expression that is none."""
        expressions = (part.strip() for part in settings.allowed_urls.split(","))
        try:
            allowed = tuple(re.compile(expression) for expression in expressions if expression)
        except re.error as broken:
            raise SettingsError(
                f"endpoint.allowed_urls has {broken.pattern!r}, which is not a regular expression ({broken}).",
                "Correct it; commas separate expressions.",
            ) from broken
        return cls(allowed, settings.allow_private_urls, settings.max_archive_bytes, strict=settings.strict)

    def allow(self, url: str) -> bool:
        return any(expression.fullmatch(url) for expression in self.allowed)


def fetched(url: str, store: Path, rules: Rules) -> Path:
    """The file that `url` names, now in `store` under the last part of its path. Nothing is overwritten.

    Blocks for up to `rules.seconds`. A failure leaves nothing behind.
    Raises RequestError with TorchServe's status and words.
    """
    parts = _checked(url, rules)
    name = parts.path.rpartition("/")[2]
    if not FILE_NAME.fullmatch(name):
        raise RequestError(f"Model not found at: {url}", status=404, kind="ModelNotFoundException")
    path = store / name
    if path.exists():
        raise _exists(path, rules)
    try:
        with _partial(path) as file:
            _download(url, file, rules)
            file.flush()
            os.fsync(file.fileno())
            _place(Path(file.name), path, rules)
    except (OSError, http.client.HTTPException, UnfitError) as failed:
        # The words of OSError and ssl name files and hosts; which kind it was is enough for a client.
        reason = str(failed) if isinstance(failed, UnfitError) else f"The transfer failed ({type(failed).__name__})."
        raise _failed(url, reason, rules) from failed
    return path


class UnfitError(Exception):
    """What the other side said or is cannot be accepted, in a sentence."""


def _checked(url: str, rules: Rules) -> SplitResult:
    """The parts of a URL that may be fetched."""
    if not VISIBLE.fullmatch(url) or not rules.allow(url):
        raise _not_allowed(url)
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises, like urlsplit itself, for what is no number
    except ValueError as broken:
        raise _not_allowed(url) from broken
    if "@" in parts.netloc:
        raise RequestError("The URL has a user name or a password in it.", "Leave it out: a URL is shown to everybody.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _not_allowed(url)
    return parts


def _download(url: str, file: IO[bytes], rules: Rules) -> None:
    """Follow `url` to its end and write what it holds."""
    parts = urlsplit(url)
    addresses = _addresses(parts.hostname or "", rules)
    deadline = time.monotonic() + rules.seconds
    for _ in range(REDIRECTS + 1):
        with _answer(parts, addresses, deadline, rules) as answer:
            if answer.status == 200:
                return _copy(answer, file, rules.max_bytes)
            if answer.status not in MOVED:
                raise UnfitError(f"The answer was {answer.status}.")
            parts = _redirected(parts, answer.getheader("location"), rules)
    raise UnfitError(f"It was redirected more than {REDIRECTS} times.")


def _redirected(parts: SplitResult, location: str | None, rules: Rules) -> SplitResult:
    url = urljoin(parts.geturl(), location or "")
    try:
        target = _checked(url, rules)
    except RequestError as refused:
        raise UnfitError("It was redirected to a URL that is not allowed.") from refused
    if target.hostname != parts.hostname or (parts.scheme, target.scheme) == ("https", "http"):
        raise UnfitError("It was redirected to another host, or away from https.")
    return target


def _addresses(host: str, rules: Rules) -> list[str]:
    """Every address of `host`. Raises UnfitError if one of them is not open to the whole world, unless that is allowed."""
    addresses = _looked_up(host)
    if not rules.private and not all(public(address) for address in addresses):
        raise UnfitError("Its host is this machine or in a private network; endpoint.allow_private_urls would allow it.")
    return addresses


def _looked_up(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as unknown:
        raise UnfitError("Its host is not known.") from unknown
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def public(address: str) -> bool:
    """Whether the whole world can reach an address; also one that is wrapped in another.

    >>> [public(each) for each in ("93.184.215.14", "127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False]
    """
    try:
        ip = _unwrapped(ip_address(address))
    except ValueError:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_loopback or ip.is_unspecified)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)


@contextlib.contextmanager
def _answer(parts: SplitResult, addresses: list[str], deadline: float, rules: Rules) -> Iterator[http.client.HTTPResponse]:
    """The answer to GET, whose connection is cut at the deadline wherever it stands then."""
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(contextlib.closing(_connected(addresses, port, deadline)))
        # A second descriptor of the same connection: a TLS socket must not be touched by two threads.
        stack.enter_context(_cut_at(deadline, stack.enter_context(plain.dup())))
        connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection(host, port)))
        connection.sock = plain
        if secure:
            connection.sock = rules.trust().wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Host": parts.netloc, "Accept-Encoding": "identity"})
        yield stack.enter_context(contextlib.closing(connection.getresponse()))
        if time.monotonic() >= deadline:  # a body without a length ends like one whose connection was cut
            raise UnfitError("It took too long.")


def _connected(addresses: list[str], port: int, deadline: float) -> socket.socket:
    refused: OSError | None = None
    for address in addresses:
        patience = min(CONNECT_SECONDS, deadline - time.monotonic())
        if patience <= 0:
            break
        try:
            return socket.create_connection((address, port), patience)
        except OSError as error:
            refused = error
    raise refused or UnfitError("It took too long.")


@contextlib.contextmanager
def _cut_at(deadline: float, handle: socket.socket) -> Iterator[None]:
    def cut() -> None:
        with contextlib.suppress(OSError):  # the other side was quicker
            handle.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], limit: int) -> None:
    declared = answer.length  # None if the other side says so by closing, or with chunks
    if declared is not None and declared > limit:
        raise UnfitError(f"It has {declared} bytes, and the limit is {limit}.")
    received = 0
    while chunk := answer.read1(CHUNK_BYTES):
        received += len(chunk)
        if received > limit:
            raise UnfitError(f"It has more than {limit} bytes.")
        file.write(chunk)
    if declared is not None and received != declared:
        raise UnfitError(f"It ended after {received} of {declared} bytes.")


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` for nobody else's eyes, gone afterwards; its name says whose it was if we are killed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name[:100]}.", suffix=home.ending(), delete=False) as file:
        home.hold(file)
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def _place(partial: Path, path: Path, rules: Rules) -> None:
    partial.chmod(0o644)  # TorchServe, and whoever else shares the store, may read it
    try:
        os.link(partial, path)  # unlike a rename, this never overwrites
    except FileExistsError as exists:
        raise _exists(path, rules) from exists


def _not_allowed(url: str) -> RequestError:
    return RequestError(f"Given URL {url} does not match any allowed URL(s)", status=404, kind="ModelNotFoundException")


def _exists(path: Path, rules: Rules) -> RequestError:
    problem = f"Model file already exists {path.name}"
    if rules.strict:
        return RequestError(problem, status=500, kind="InternalServerException")
    return RequestError(problem, status=409, kind="ConflictStatusException")


def _failed(url: str, reason: str, rules: Rules) -> RequestError:
    words = (
        (f"Failed to download archive from: {url}", "")
        if rules.strict
        else (f"Failed to download archive from: {url}.", reason)
    )
    return RequestError(*words, status=400, kind="DownloadArchiveException")
