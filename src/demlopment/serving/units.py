"""Who asks: what of a request stays with its arm. Knows HTTP's headers and forms; knows no plan and no model."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from demlopment.errors import RequestError
from demlopment.records import TrafficPlan
from demlopment.serving.calls import Field

DEFAULT = TrafficPlan.unit
NAMED = ("header", "cookie", "field")  # what comes with a name
KINDS = (*(f"{kind}:NAME" for kind in NAMED), "client", "request")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 9110's, of a header's or a cookie's name
MAX_UNIT = 128  # bytes, as long as a request id: the journal holds it in every row


class Asker(NamedTuple):
    """What a request says of who asks; a tuple, because every request makes one."""

    headers: Mapping[bytes, bytes]
    query: bytes = b""
    client: str = ""  # its address
    fields: Sequence[Field] = ()  # of a form, where the unit is one


def checked(spec: str) -> str:
    """What a plan calls its unit, with a header's name in lower case. Raises RequestError for what it cannot mean.

    >>> checked("header:X-User"), checked("client")
    ('header:x-user', 'client')
    """
    kind, _, name = spec.partition(":")
    fits = TOKEN.fullmatch(name) if kind in NAMED[:2] else 0 < len(name) <= 64 and name.isprintable()
    if spec not in ("client", "request") and not (kind in NAMED and fits):
        raise RequestError(f"The plan's unit is {spec!r}.", f"Send one of {', '.join(KINDS)}.")
    return f"{kind}:{name.lower()}" if kind == "header" else spec


def reader(spec: str) -> Callable[[Asker], bytes]:
    """What finds the unit in a request, empty where it has none."""
    kind, _, name = spec.partition(":")
    if kind == "header":
        key = name.encode()
        return lambda asker: asker.headers.get(key, b"")
    if kind == "cookie":
        return lambda asker: _cookie(asker.headers.get(b"cookie", b""), name.encode())
    if kind == "field":
        return lambda asker: _field(asker, name)
    return (lambda asker: asker.client.encode()) if kind == "client" else (lambda _: b"")


def unit(given: bytes, request_id: str) -> str:
    r"""Who asks: what the request says, or the request itself. A long one is journalled as its digest.

    It is text in UTF-8, as other implementations have it; what is none is taken byte by byte.

    >>> unit(b"ada", "r"), unit(b"", "r"), len(unit(b"x" * 1000, "r")), unit(b"Zo\xc3\xab", "r"), unit(b"Zo\xeb", "r")
    ('ada', 'r', 64, 'Zoë', 'Zoë')
    """
    if len(given) > MAX_UNIT:
        return hashlib.sha256(given).hexdigest()
    try:
        return given.decode() or request_id
    except UnicodeDecodeError:
        return given.decode("latin-1")


def _cookie(header: bytes, name: bytes) -> bytes:
    """The first of that name, without quotes around it (RFC 6265, section 5.4)."""
    for pair in header.split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return value.strip(b'"')
    return b""


def _field(asker: Asker, name: str) -> bytes:
    """The first of that name in the query, else in the form."""
    # As Latin-1 each byte is a letter; of bytes, parse_qsl takes ASCII only.
    for key, value in parse_qsl(asker.query.decode("latin-1"), keep_blank_values=True, encoding="latin-1"):
        if key.encode("latin-1") == name.encode() and value:
            return value.encode("latin-1")
    return next((bytes(field.content) for field in asker.fields if field.name == name), b"")
