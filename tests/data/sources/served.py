"""A real HTTP server that gives files, and breaks off, lies or changes its mind when it is told to. For tests only."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server gives, and what it was asked."""

    files: dict[str, bytes]
    base: str = ""
    ranges: bool = True  # whether it understands Range
    tag: str = '"1"'
    breaks: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    stalls_after: int | None = None  # bytes after which it sends nothing more, until `resume`
    statuses: list[int] = field(default_factory=list)  # of the next answers
    moved: dict[str, str] = field(default_factory=dict)  # path -> address
    asked: list[tuple[str, str, int]] = field(default_factory=list)  # path, Range, status
    stalled: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)
    before: Callable[["Served"], None] = lambda _: None  # called with each question


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Served]:
    """Serve the files on a free port of this machine."""
    served = Served(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, served)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.base = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            served.resume.set()
            server.shutdown()
            thread.join()


def answer(request: BaseHTTPRequestHandler, served: Served) -> None:
    served.before(served)
    asked = request.headers.get("Range", "")
    status = served.statuses.pop(0) if served.statuses else 200
    data = served.files.get(request.path.lstrip("/"))
    if request.path.lstrip("/") in served.moved:
        status = 302
    elif data is None:
        status = 404
    same = request.headers.get("If-Range", served.tag) == served.tag
    start = int(re.findall(r"\d+", asked)[0]) if asked and served.ranges and same and status == 200 else 0
    if data is not None and start:
        status = 206 if start < len(data) else 416
    served.asked.append((request.path.lstrip("/"), asked, status))
    request.send_response(status)
    if status == 302:
        request.send_header("Location", served.moved[request.path.lstrip("/")])
    body = (data or b"")[start:] if status in (200, 206) else b""
    if data is not None and status in (206, 416):
        request.send_header(
            "Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}" if status == 206 else f"bytes */{len(data)}"
        )
    if served.tag:
        request.send_header("ETag", served.tag)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    send(request, served, body)


def send(request: BaseHTTPRequestHandler, served: Served, body: bytes) -> None:
    if served.breaks and body:
        body = body[: served.breaks.pop(0)]
    if served.stalls_after is not None and body:
        request.wfile.write(body[: served.stalls_after])
        request.wfile.flush()
        served.stalled.set()
        served.resume.wait()
        return
    request.wfile.write(body)
