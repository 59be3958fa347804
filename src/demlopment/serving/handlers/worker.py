"""One worker process: load a handler, answer one batch after another. Knows the supervisor only as a line of frames.

Started by life.py as `python -P -m demlopment.serving.handlers.worker`. It leaves when the line ends, and the kernel ends it
with its supervisor, also in the middle of a batch.
"""

import argparse
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from demlopment.serving.calls import Bytes
from demlopment.serving.handlers import encoding, envelopes, frames, legacy, loader
from demlopment.serving.handlers.context import Context
from demlopment.serving.handlers.encoding import PredictionError
from demlopment.serving.handlers.loader import Handle

PACKAGES = ".packages"  # see manifest.py, which a worker does not import
PR_SET_PDEATHSIG = 1
# Enough for a large model's shards and a pool of threads; far below what exhausts a machine.
MAX_FILES = 4096
MEGABYTE = 1 << 20

Send = Callable[..., None]


@dataclass(eq=False)
class Service:
    """A loaded handler and the context that it sees."""

    handle: Handle
    context: Context

    @classmethod
    def load(cls, order: Mapping[str, Any]) -> "Service":
        """Run the archive's code until its handler is ready. Raises whatever that raises."""
        folder = Path(order["folder"])
        os.chdir(folder)  # handlers open what their archive brings by its bare name
        loader.make_importable(folder, folder / PACKAGES)
        manifest = loader.manifest(folder, order["model"], order["version"], order["handler"])
        config = loader.configuration(folder, manifest)
        context = Context(order["model"], str(folder), manifest, order["batch_size"], model_yaml_config=config)
        legacy.share(context.metrics)
        context.cl_socket = encoding.RealSocket(context)
        handle, initialize = loader.found(order["handler"])
        initialize(context)
        if order["envelope"]:
            handle = envelopes.wrapped(order["envelope"], handle, strict=order["strict"])
        return cls(handle, context)

    def answer(self, requests: Sequence[Mapping[str, Any]], blobs: Sequence[Bytes], send: Send) -> None:
        """Answer one batch on the line."""
        context = self.context
        started = time.perf_counter()
        try:
            rows = encoding.taken(context, requests, blobs)
            context.part = lambda parts: self._part(parts, send)
            bodies = self._bodies(rows)
        except PredictionError as error:
            send({"said": "done", "status": error.status, "message": error.message, "kind": error.kind, **self._noted()})
            return
        took_ms = 1000 * (time.perf_counter() - started)
        replies = encoding.said(context)
        send({"said": "done", "status": 200, "replies": replies, "prediction_ms": took_ms, **self._noted()}, bodies)

    def _bodies(self, rows: list[dict[str, Any]]) -> list[bytes]:
        answers = self._answers(rows)
        if not isinstance(answers, list):
            logging.warning("The handler returned %s instead of a list.", type(answers))
            raise PredictionError(503, "Invalid model predict output")
        if len(answers) != len(rows):
            logging.warning("The handler returned %d answers to %d requests.", len(answers), len(rows))
            raise PredictionError(503, "number of batch response mismatched")
        try:
            return [encoding.encoded(answer) for answer in answers]
        except MemoryError as error:
            raise PredictionError(507, "Out of resources") from error

    def _answers(self, rows: list[dict[str, Any]]) -> Any:
        try:
            return self.handle(rows, self.context)
        except MemoryError as error:
            logging.error("The handler ran out of memory.", exc_info=True)
            raise PredictionError(507, "Out of resources") from error
        except PredictionError:
            raise
        except Exception as error:  # foreign code raises anything
            logging.warning("The handler raised.", exc_info=True)
            raise _explained(error) from error

    def _part(self, parts: Sequence[Any], send: Send) -> None:
        if len(parts) != len(self.context.request_processor):
            raise ValueError(f"{len(parts)} parts for {len(self.context.request_processor)} requests")
        bodies = [encoding.encoded(part) for part in parts]
        send({"said": "part", "replies": encoding.said(self.context, more=True)}, bodies)

    def _noted(self) -> dict[str, Any]:
        return {"metrics": self.context.metrics.taken()}


def main() -> None:
    """Serve until the line ends."""
    parser = argparse.ArgumentParser(description="One worker of a Python handler; started by its supervisor.")
    parser.add_argument("--line", type=int, required=True, help="file descriptor of the line to the supervisor")
    with socket.socket(fileno=parser.parse_args().line) as line:
        frames.widen(line)
        order = frames.receive_blocking(line)
        if order is not None:
            _confine(order.header)
            logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
            _serve(line, order.header)


def _serve(line: socket.socket, order: Mapping[str, Any]) -> None:
    lock = Lock()  # handlers stream from threads of their own

    def send(header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
        with lock:
            for piece in frames.packed(header, blobs):
                line.sendall(piece)

    started = time.perf_counter()
    try:
        service = Service.load(order)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # foreign code raises anything
        traceback.print_exc()
        send({"said": "failed", "reason": loader.lacking(error) or _last_line(error), "status": _load_status(error)})
        return
    send({"said": "ready", "load_ms": 1000 * (time.perf_counter() - started)})
    while (frame := frames.receive_blocking(line)) is not None:
        service.answer(frame.header["requests"], frame.blobs, send)


def _confine(order: Mapping[str, Any]) -> None:
    """Die with the supervisor, leave no core, and hold no more memory and files than allowed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order["supervisor"]:  # it died before that
        sys.exit(1)
    # The data limit counts what is written to. The address space would count what CUDA, thread arenas and mapped weights
    # only reserve, which is often a hundred times as much.
    size = order["memory_mb"] * MEGABYTE
    for what, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, size), (resource.RLIMIT_NOFILE, MAX_FILES)):
        _, most = resource.getrlimit(what)
        allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (allowed, allowed))


def _explained(error: Exception) -> PredictionError:
    # The class may be the real package's, so it is known by its name.
    if any(each.__name__ == "PredictionException" for each in type(error).__mro__):
        code = getattr(error, "error_code", 500)
        return PredictionError(code if isinstance(code, int) else 500, str(getattr(error, "message", error)))
    if "CUDA" in str(error):
        return PredictionError(507, "Out of resources")
    return PredictionError(503, "Prediction failed")


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _load_status(error: BaseException) -> int:
    out_of_memory = isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "CUDA" in str(error))
    return 507 if out_of_memory else 500


if __name__ == "__main__":
    main()
