"""What a request's body holds: raw, as a multipart form or as an encoded form. Knows no model."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from demlopment.errors import RequestError
from demlopment.serving.calls import Field

NAMES = ("data", "body")  # what TorchServe's handlers look for
MAX_PARTS = 1000  # as Starlette; a handler's form may be wide
FILE_TYPE = "application/octet-stream"  # of a file that does not say what it is, as upstream


async def picture(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """The bytes of the one picture in `body`. Raises RequestError for a form that is broken or holds none."""
    return chosen(await fields(headers, body)) if is_form(headers) else body


async def fields(headers: Mapping[bytes, bytes], body: bytes) -> tuple[Field, ...]:
    """The inputs in `body` as TorchServe names them; one that is no form is the field `body`.

    Raises RequestError for a form that is broken.
    """
    kind = headers.get(b"content-type", b"")
    if not is_form(headers):
        return (Field("body", body, kind.partition(b";")[0].strip().decode("latin-1")),)
    if kind.lower().startswith(b"multipart/"):
        return await _multipart(kind, body)
    return _urlencoded(body)


def query(text: bytes) -> tuple[Field, ...]:
    """The inputs in a query string. Raises RequestError if there are too many."""
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_PARTS)
    except ValueError as broken:
        raise RequestError(f"The query cannot be read: {broken}.", f"Send at most {MAX_PARTS} parameters.") from broken
    return tuple(Field(name.encode("latin-1").decode(errors="replace"), value.encode("latin-1")) for name, value in pairs)


def chosen(inputs: Sequence[Field]) -> bytes:
    """The picture among them. Raises RequestError if none can be it."""
    named = {field.name: bytes(field.content) for field in inputs}
    for name in NAMES:
        if name in named:
            return named[name]
    if len(named) == 1:
        return next(iter(named.values()))
    raise RequestError(f"The form has the fields {sorted(named)}.", "Send the picture in a field named data.")


def is_form(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is a form that can be taken apart: without a boundary it is raw, as upstream."""
    kind = headers.get(b"content-type")
    if kind is None:
        return False
    lowered = kind.lower()
    if lowered.startswith(b"multipart/form-data"):
        return b"boundary=" in lowered
    return lowered.startswith(b"application/x-www-form-urlencoded")


async def _multipart(kind: bytes, body: bytes) -> tuple[Field, ...]:
    parser = MultiPartParser(
        # Parts without a file name are decoded as text; Latin-1 is one character a byte, both ways.
        Headers(raw=[(b"content-type", kind + b"; charset=latin-1")]),
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
        return tuple([await _field(name, value) for name, value in form.multi_items()])
    finally:
        await form.close()


async def _field(name: str, value: UploadFile | str) -> Field:
    # A part that is no file has no type for a handler, whatever it says of itself: upstream drops it.
    plain = name.encode("latin-1", errors="replace").decode(errors="replace")
    if isinstance(value, str):
        return Field(plain, value.encode("latin-1"))
    return Field(plain, await value.read(), (value.content_type or FILE_TYPE).partition(";")[0].strip())


def _urlencoded(body: bytes) -> tuple[Field, ...]:
    # Starlette decodes percent escapes as UTF-8, which destroys a picture.
    if body.count(b"&") >= MAX_PARTS:
        raise RequestError("The form cannot be read: it has too many fields.", f"Send at most {MAX_PARTS} fields.")
    pairs = (pair.partition(b"=") for pair in body.replace(b"+", b" ").split(b"&"))
    # A name without a value is nothing, as upstream.
    return tuple(
        Field(unquote_to_bytes(name).decode(errors="replace"), unquote_to_bytes(value))
        for name, equals, value in pairs
        if equals
    )


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
