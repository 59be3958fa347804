"""One file from an address to a path, whole and verified; what broke off is taken up again. Knows no data set.

Beside the path lie, until it is whole, NAME.part and NAME.part.tag: the ETag of what the part is of. A part is only
lengthened by an answer that says it goes on where the part ends, and all of it must have the known MD5 in the end.
"""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from demlopment import home
from demlopment.data.sources.port import unreadable
from demlopment.errors import DataError

PATIENCE = 30.0  # seconds without a single byte
TRIES = 3  # in a row that brought nothing new
PAUSE = 2.0  # seconds between them
PIECE = 1 << 20  # bytes
MAX_BYTES = 4_000_000_000  # several times the largest official file
ELSEWHERE = "Get the files from elsewhere, and take them from their folder with --from."
AGAIN = (408, 429, 500, 502, 503, 504)  # statuses that another try may mend


class BrokenOffError(Exception):
    """The transfer ended early, in words; another try may go on with it."""


def download(
    address: str,
    path: Path,
    md5: str,
    *,
    instead: str,
    heard: Callable[[int, int | None], None] = lambda *_: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """See that `path` holds what the address has, by its MD5; a file that does already is not fetched again.

    `heard` is told how many bytes are there, of how many; `instead` says what to do where there is no way to the address.
    Raises DataError for an address that gives nothing or something else, HomeError for a disk that cannot be written.
    """
    if path.exists() and sum_of(path) == md5:
        return
    with home.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        tag = path.with_name(f"{part.name}.tag")
        resumed = _fetch_all(address, part, tag, instead, heard, pause)
        if sum_of(part) != md5 and resumed:  # the parts may be of two files
            part.unlink()
            _fetch_all(address, part, tag, instead, heard, pause)
        found = sum_of(part)
        tag.unlink(missing_ok=True)
        if found != md5:
            wrong = path.with_name(f"{path.name}.wrong")
            part.replace(wrong)
            raise DataError(f"{address} gave a file with the MD5 {found}, not {md5}, which was kept as {wrong}.", instead)
        part.replace(path)


def sum_of(path: Path) -> str:
    """The MD5 of a file, by which data sets name theirs; their addresses are https, so that it need not resist an attack."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def _fetch_all(
    address: str, part: Path, tag: Path, instead: str, heard: Callable[[int, int | None], None], pause: Callable[[float], None]
) -> bool:
    """Fill the part; whether some of it was there before."""
    resumed, most, barren = _size(part) > 0, _size(part), 0
    while True:
        try:
            _fetch(address, part, tag, heard)
        except BrokenOffError as broken:
            barren = 0 if _size(part) > most else barren + 1
            most = max(most, _size(part))
            if barren == TRIES:
                raise DataError(f"{address} cannot be fetched: {broken}.", instead) from broken
            pause(PAUSE * barren)
            resumed = True
        else:
            return resumed


def _fetch(address: str, part: Path, tag: Path, heard: Callable[[int, int | None], None]) -> None:
    """Ask once for what is missing, and write it."""
    start = _size(part)
    known = tag.read_text() if start and tag.exists() else ""
    headers = {"Range": f"bytes={start}-"} if start else {}
    if known:
        headers["If-Range"] = known  # the whole file comes if it is another one by now
    with _answer(address, headers) as answer:
        if answer.status == 416 and answer.headers.get("Content-Range", "") == f"bytes */{start}":
            return  # it is whole already
        if answer.status == 416 or (answer.status == 206 and _begins(answer) != start):
            part.unlink(missing_ok=True)
            raise BrokenOffError("another part was sent than was asked for")
        with part.open("ab" if answer.status == 206 else "wb") as file:  # emptied first, so that no tag is of other bytes
            home.replace(tag, _strong(answer.headers.get("ETag", "")).encode())
            _copy(answer, file, start if answer.status == 206 else 0, heard)


def _answer(address: str, headers: dict[str, str]) -> Any:
    """What is said to the question, if it is a file, a part of one, or that there is no such part."""
    try:
        return _opener().open(urllib.request.Request(address, headers=headers), timeout=PATIENCE)  # noqa: S310 - see _opener
    except urllib.error.HTTPError as refused:
        if refused.code == 416:
            return refused
        refused.close()
        if refused.code in AGAIN:
            raise BrokenOffError(f"the answer was {refused.code}") from refused
        raise DataError(f"{address} was answered with {refused.code} {_words(refused.reason)}.", ELSEWHERE) from refused
    except urllib.error.URLError as failed:
        raise BrokenOffError(_words(failed.reason)) from failed
    except (http.client.HTTPException, OSError) as failed:
        raise BrokenOffError(_words(failed)) from failed


def _copy(answer: Any, file: IO[bytes], have: int, heard: Callable[[int, int | None], None]) -> None:
    total = None if answer.length is None else have + answer.length
    while piece := _received(answer):
        have += len(piece)
        if max(have, total or 0) > MAX_BYTES:
            raise BrokenOffError(f"it has more than {MAX_BYTES} bytes")
        file.write(piece)
        file.flush()  # so that a kill loses nothing of it
        heard(have, total)
    os.fsync(file.fileno())
    if total is not None and have < total:
        raise BrokenOffError(f"the connection ended after {have} of {total} bytes")


def _received(answer: Any) -> bytes:
    try:
        return bytes(answer.read1(PIECE))
    except (http.client.HTTPException, OSError) as failed:  # of the connection; those of the disk pass
        raise BrokenOffError(_words(failed)) from failed


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, but never from https to anything else."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.type == "https" and not newurl.lower().startswith("https://"):
            raise DataError(f"{req.full_url} leads to {newurl[:200]}, away from https.", ELSEWHERE)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS and nothing else, so no redirection reaches a file of this machine; a proxy as the environment says."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _begins(answer: Any) -> int:
    """Where the part that was sent begins, -1 if that is not said."""
    said = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(said[1]) if said else -1


def _strong(tag: str) -> str:
    """The ETag, or nothing: a weak one does not promise the same bytes."""
    return "" if tag.startswith("W/") or not tag.isascii() else tag


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _words(reason: object) -> str:
    said = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    return " ".join(said.rstrip(".").split())
