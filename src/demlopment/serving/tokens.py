"""Who may use which port: TorchServe's keys that expire, and static tokens with a scope. Knows no socket and no model.

The supervisor holds the key file. Whoever else answers requests gets `Permits`, which hold digests and never a token.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from demlopment import home
from demlopment.errors import RequestError, SettingsError
from demlopment.home import Home
from demlopment.serving.http.wire import segments

if TYPE_CHECKING:  # serving processes import this file, and have no use for the settings' 20 MB
    from demlopment.settings import Endpoint

Scope = Literal["inference", "management", "metrics", "API"]
SCOPES = ("inference", "management", "metrics", "*")
NAME = "key_file.json"
KEY_BYTES = 32  # TorchServe's keys have 6, which can be guessed
OTHERS = 0o007  # permission bits of whoever is neither the owner nor in the group
REFUSED = "Token either incorrect, expired, or not provided correctly"


@dataclass(frozen=True)
class Permit:
    """One token: what it opens, and until when."""

    scope: str  # of SCOPES, or API for the key that changes keys
    digest: str  # SHA-256, hexadecimal
    expires: float | None = None  # seconds since 1970; None: never

    @classmethod
    def of(cls, scope: str, token: str, expires: float | None = None) -> Self:
        return cls(scope, hashlib.sha256(token.encode()).hexdigest(), expires)


@dataclass(frozen=True)
class Permits:
    """Which tokens open which port. Holds no token, so a serving process may get it on its command line."""

    required: bool = False
    open_health: bool = True  # /ping and /ready need no token
    permits: tuple[Permit, ...] = ()

    def refuse(self, scope: Scope, method: str, path: str, headers: Mapping[bytes, bytes], now: float) -> None:
        """Raise RequestError, in TorchServe's words, unless the request has a token for `scope` or needs none.

        headers  names in lower case
        now      seconds since 1970
        """
        if not self.required or self._exempt(scope, method, path):
            return
        presented = hashlib.sha256(_bearer(headers)).hexdigest()
        # Each is compared, and in constant time, so that an answer's time says nothing about any.
        opened = [
            hmac.compare_digest(permit.digest, presented) and (permit.expires is None or now < permit.expires)
            for permit in self.permits
            if permit.scope == scope or (permit.scope == "*" and scope != "API")
        ]
        if not any(opened):
            word = "Authentication" if scope == "API" else "Authorization"  # TorchServe has both
            raise RequestError(f"Token {word} failed. {REFUSED}", status=400, kind="InvalidKeyException")

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The opposite of `as_json`."""
        values = json.loads(text)
        return cls(values["required"], values["open_health"], tuple(Permit(**permit) for permit in values["permits"]))

    def _exempt(self, scope: Scope, method: str, path: str) -> bool:
        parts = segments(path)
        if scope == "API":
            return False
        if not parts or parts == ["api-description"]:  # the description, or the 405 of the root
            return True
        if scope == "metrics":  # open in TorchServe, so closed only for whoever has a token for it
            return not any(permit.scope == "metrics" for permit in self.permits)
        return self.open_health and parts in (["ping"], ["ready"])


class KeyFile:
    """The file with the keys that are valid now: TorchServe's key_file.json, in the endpoint's folder of a home."""

    def __init__(self, place: Home, settings: "Endpoint") -> None:
        self.path = place.endpoint / NAME
        self._seconds = settings.token_minutes * 60
        self._static = static(settings)
        self._required = required(settings, self._static)
        self._open_health = settings.open_health and not settings.strict
        self._keys: dict[str, tuple[str, float | None]] = {}  # by TorchServe's names: management, inference, API

    def create(self, now: float) -> None:
        """Draw every key anew; a file that a killed endpoint left is replaced. Without authorization there is no file."""
        if not self._required:
            self.remove()
            return
        self._keys = {kind: self._fresh(now) for kind in ("management", "inference")}
        self._keys["API"] = (secrets.token_urlsafe(KEY_BYTES), None)
        self._write()

    def rotate(self, kind: str | None, headers: Mapping[bytes, bytes], now: float) -> None:
        """`GET /token?type=`: replace one key, which only the file then says.

        Raises RequestError, in TorchServe's words, without the API key or for anything but inference or management.
        """
        self.permits().refuse("API", "GET", "/token", headers, now)
        if kind not in ("management", "inference") or not self._keys:
            raise RequestError(f"Token Authentication failed. {REFUSED}", status=400, kind="InvalidKeyException")
        self._keys[kind] = self._fresh(now)
        self._write()

    def permits(self) -> Permits:
        """What opens which port now; ask again after `create` and `rotate`."""
        changing = (Permit.of(kind, key, expires) for kind, (key, expires) in self._keys.items())
        return Permits(self._required, self._open_health, (*changing, *self._static))

    def remove(self) -> None:
        """The keys end with the endpoint."""
        self.path.unlink(missing_ok=True)

    def _fresh(self, now: float) -> tuple[str, float]:
        return secrets.token_urlsafe(KEY_BYTES), now + self._seconds

    def _write(self) -> None:
        document: dict[str, dict[str, str]] = {}
        for kind, (key, expires) in self._keys.items():
            document[kind] = {"key": key}
            if expires is not None:
                document[kind]["expiration time"] = datetime.fromtimestamp(expires, UTC).isoformat().replace("+00:00", "Z")
        _write_private(self.path, (json.dumps(document, indent=2) + "\n").encode())


def credentials(place: Home, scope: Literal["inference", "management"]) -> dict[str, str]:
    """The header that opens a port of the endpoint that runs in `place`, for whoever may read its key file; else none."""
    try:
        return {"authorization": f"Bearer {json.loads((place.endpoint / NAME).read_bytes())[scope]['key']}"}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def required(settings: "Endpoint", tokens: tuple[Permit, ...]) -> bool:
    """Whether requests need a token: as set, otherwise if others than this machine can reach the ports or tokens are given."""
    if settings.token_authorization is not None:
        return settings.token_authorization
    hosts = (settings.host, settings.management_host or settings.host)
    return settings.strict or bool(tokens) or not all(_loopback(host) for host in hosts)


def static(settings: "Endpoint") -> tuple[Permit, ...]:
    """The tokens of the settings and of the file that they name.

    Raises SettingsError, which never quotes a token, for a line that is not SCOPE:TOKEN or a file that others can read.
    """
    given = [("endpoint.tokens", part) for part in settings.tokens.get_secret_value().split(",")]
    if settings.tokens_file is not None:
        lines = _private_text(settings.tokens_file).splitlines()
        given += [(f"{settings.tokens_file}, line {number}", line) for number, line in enumerate(lines, 1)]
    return tuple(_permits(given))


def _permits(given: Iterable[tuple[str, str]]) -> Iterable[Permit]:
    for place, text in given:
        stripped = text.strip()
        if not stripped or stripped.startswith("#"):
            continue
        scope, colon, token = stripped.partition(":")
        if not colon or scope not in SCOPES or not token or not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError(
                f"{place}: this is not a scope, a colon and a token.",
                f"Write SCOPE:TOKEN with one of the scopes {', '.join(SCOPES)}; tokens are ASCII without white space.",
            )
        yield Permit.of(scope, token)


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                raise SettingsError(
                    f"Other users can read or change {path}.", f"Run chmod o-rwx {path}, and change the tokens."
                )
            return file.read().decode()
    except OSError as error:
        raise SettingsError(
            f"The tokens in {path} cannot be read: {error.strerror}.", "Correct endpoint.tokens_file."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The tokens in {path} are not text.", "Write SCOPE:TOKEN, one a line.") from error


def _write_private(path: Path, content: bytes) -> None:
    """As `home.replace`, for nobody else's eyes, not even for a moment."""
    partial = path.with_name(f"{path.name}{home.ending()}")
    with home.explained(path):
        partial.unlink(missing_ok=True)  # only a process with our number that was killed can have left one
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _bearer(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
