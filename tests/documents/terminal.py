"""A shell that is typed into as a reader would, and what it printed. Knows no document."""

import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self
from uuid import uuid4

PATIENCE_SECONDS = 120
WRITTEN_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{4,5}|(?<=_PORT=)\d{4,5}|(?<=--port )\d{4,5}")


class Ports:
    """Free ports in the place of those that documents name, held until closed, so that documents run beside each other."""

    def __init__(self, *named: int) -> None:
        self._free = dict[str, str]()
        self._held = list[socket.socket]()
        for each in named:
            self.free(str(each))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._held:
            each.close()

    def free(self, named: str) -> str:
        """The one that stands for a port that is named."""
        if named not in self._free:
            held = next(filter(None, map(_hold, _drawn())))
            self._held.append(held)
            self._free[named] = str(held.getsockname()[1])
            if sys.platform != "linux":  # the only one where others may listen on a port that is held so
                held.close()
        return self._free[named]

    def typed(self, command: str) -> str:
        """A command as it can be run here."""
        return WRITTEN_PORT.sub(lambda port: self.free(port[0]), command)

    def printed(self, text: str) -> str:
        """What it printed, as it would be elsewhere."""
        for named, free in self._free.items():
            text = re.sub(rf"\b{free}\b", named, text)
        return text


def _drawn() -> Iterator[int]:
    """Below those that most systems hand out by themselves."""
    while True:
        yield secrets.choice(range(15_000, 32_000))


def _hold(port: int) -> socket.socket | None:
    """Keep a free port from being handed to another program: a document may use it minutes after it was drawn.

    A server may listen there all the same, since both sockets allow the address to be used again.
    """
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return None
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


class Terminal:
    """A bash in a folder. Whatever was started in it ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._heard = ""
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        self._type("trap 'trap - EXIT; kill 0' EXIT\n")  # where we are killed ourselves, standard input ends, and so does bash

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._shell:
            os.killpg(self._shell.pid, signal.SIGTERM)
            while self._read():  # until all who could print have gone
                pass

    def run(self, command: str) -> tuple[str, int]:
        """What a command printed, and how it left."""
        end = f"end-of-command-{uuid4().hex}"
        self._type(f"{{ {command}\n}} < /dev/null\nprintf '\\n{end} %s\\n' $?\n")
        said = re.compile(rf"\n{end} (\d+)\n")
        self._wait(lambda heard: said.search(heard) is not None)
        printed, status, self._heard = said.split(self._heard)
        return printed, int(status)

    def awaited(self, printed: Callable[[str], bool]) -> str:
        """What was printed since, as soon as it is what was waited for."""
        self._wait(printed)
        said, self._heard = self._heard, ""
        return said

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def _wait(self, ended: Callable[[str], bool]) -> None:
        while not ended(self._heard):
            if not self._read():
                raise TimeoutError(f"the shell says no more than: {self._heard}")

    def _read(self) -> bool:
        """Whether more was printed before the patience was at its end."""
        assert self._shell.stdout is not None
        if not select.select([self._shell.stdout], [], [], PATIENCE_SECONDS)[0]:
            os.killpg(self._shell.pid, signal.SIGKILL)
            return False
        piece = os.read(self._shell.stdout.fileno(), 1 << 16)
        self._heard += piece.decode(errors="replace")
        return bool(piece)
