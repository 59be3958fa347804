"""Find the picture in a request's body: raw, as a multipart form or as an encoded form. Knows no model."""

from collections.abc import AsyncGenerator, Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from demlopment.errors import RequestError

NAMES = ("data", "body")  # what TorchServe's handlers look for
MAX_PARTS = 16  # one picture and a few stray fields


async def picture(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """The bytes of the one picture in `body`. Raises RequestError for a form that is broken or holds none."""
    kind = headers.get(b"content-type", b"").lower()
    if kind.startswith(b"multipart/form-data"):
        return _chosen(await _multipart(headers, body))
    if kind.startswith(b"application/x-www-form-urlencoded"):
        return _chosen(_urlencoded(body))
    return body


def _chosen(fields: Mapping[str, bytes]) -> bytes:
    for name in NAMES:
        if name in fields:
            return fields[name]
    if len(fields) == 1:
        return next(iter(fields.values()))
    raise RequestError(f"The form has the fields {sorted(fields)}.", "Send the picture in a field named data.")


async def _multipart(headers: Mapping[bytes, bytes], body: bytes) -> dict[str, bytes]:
    # Parts without a file name are decoded as text; Latin-1 is one character a byte, both ways.
    kind = headers[b"content-type"] + b"; charset=latin-1"
    parser = MultiPartParser(
        Headers(raw=[(b"content-type", kind)]),
        _once(body),
        max_files=MAX_PARTS,
        max_fields=MAX_PARTS,
        max_part_size=max(len(body), 1),  # the body's own limit has been checked
    )
    parser.spool_max_size = len(body) + 1  # a picture never touches the disk
    try:
        form = await parser.parse()
    except MultiPartException as broken:
        raise RequestError(f"The form cannot be read: {broken.message}", "Send it as an HTTP library writes it.") from broken
    try:
        return {name: await _content(value) for name, value in form.multi_items()}
    finally:
        await form.close()


async def _content(value: UploadFile | str) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else await value.read()


def _urlencoded(body: bytes) -> dict[str, bytes]:
    # Starlette decodes percent escapes as UTF-8, which destroys a picture.
    try:
        pairs = parse_qsl(body.decode("latin-1"), encoding="latin-1", max_num_fields=MAX_PARTS)
    except ValueError as broken:
        raise RequestError(f"The form cannot be read: {broken}.", f"Send at most {MAX_PARTS} fields.") from broken
    return {name: value.encode("latin-1") for name, value in pairs}


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
