"""What a handler may do to its own process and its own line: it ends its life, and never the endpoint's patience."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from demlopment.errors import RequestError
from demlopment.serving.handlers.hall import Hall
from demlopment.serving.handlers.life import Life
from tests.serving.handlers.hosting import hosted, running, until, written

# Starts a daemon that keeps the worker's output open, and one that has also dropped its environment.
DAEMONS = """
import os, subprocess, sys, time

def handle(data, context):
    if not data:
        return
    daemon = os.fork()
    if not daemon:
        os.setsid()
        time.sleep(600)
        os._exit(0)
    bare = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={}, start_new_session=True)
    return [{"worker": os.getpid(), "daemons": [daemon, bare.pid]}]
"""

WRITES = """
import json, os, struct, sys, threading

def frame(header):
    text = json.dumps({**header, "blobs": []}).encode()
    return struct.pack("!II", len(text), 0) + text

def say(header):
    os.write(int(sys.argv[sys.argv.index("--line") + 1]), frame(header))
    threading.Event().wait()
"""
DONE = {"said": "done", "status": 200, "prediction_ms": 1.0, "metrics": [], "replies": []}


def said(order: dict[str, Any]) -> str:
    return f"{WRITES}\ndef handle(data, context):\n    if data: say(eval({str(order)!r}, {{'inf': float('inf')}}))\n"


def test_a_daemon_of_a_handler_delays_neither_its_successor_nor_the_end(tmp_path: Path) -> None:
    async def run() -> tuple[dict[str, Any], list[bool]]:
        async with hosted(tmp_path, DAEMONS) as served:
            first = json.loads((await served.ask(b"")).body)
            assert all(map(running, first["daemons"]))
            os.kill(first["worker"], signal.SIGKILL)
            await until(lambda: served.ready() and served.pids() != [first["worker"]])
            second = json.loads((await served.ask(b"")).body)
            return second, [running(first["daemons"][0])]

    second, left = asyncio.run(run())

    assert left == [False], "the daemon that bears the worker's mark ends with it"
    assert not any(map(running, second["daemons"])), "of a worker that is ended in peace no child is left"


@pytest.mark.parametrize(
    "order",
    [
        DONE | {"status": float("inf")},
        DONE | {"status": None},
        DONE | {"prediction_ms": "soon"},
        DONE | {"metrics": [[1]]},
        DONE | {"metrics": [["name", "counter", 10**400]]},
        DONE | {"replies": {}},
        {"said": "part"},
        {"said": "done"},
        {},
    ],
    ids=str,
)
def test_whatever_a_handler_writes_on_its_line_costs_its_own_request_alone(order: dict[str, Any], tmp_path: Path) -> None:
    async def run() -> tuple[int, str]:
        async with hosted(tmp_path, said(order)) as served:
            (before,) = served.pids()
            with pytest.raises(RequestError) as refused:
                await served.ask(b"")
            await until(lambda: served.ready() and served.pids() != [before])
            return refused.value.status, refused.value.problem

    assert asyncio.run(run()) == (500, "Worker died.")


@pytest.mark.parametrize("order", [{"said": "ready"}, {"said": "ready", "load_ms": "long"}, {"said": "failed"}, {}], ids=str)
def test_a_handler_that_writes_nonsense_while_it_is_loaded_is_not_loaded(order: dict[str, Any], tmp_path: Path) -> None:
    async def run() -> dict[Any, str]:
        hall = Hall(tmp_path / "handlers", lambda _: None)
        return await hall.prepare([written(tmp_path, f"{WRITES}\nsay({order!r})")])

    reasons = asyncio.run(run())

    assert len(reasons) == 1


def test_a_fault_of_our_own_is_told_and_another_worker_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rightly, faults = Life.answer, [ZeroDivisionError("a bug")]

    async def answer(life: Life, *arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return await rightly(life, *arguments)

    async def run() -> tuple[int, bytes, list[str]]:
        async with hosted(tmp_path, "def handle(data, context): return data and ['fine'] * len(data)") as served:
            monkeypatch.setattr(Life, "answer", answer)
            with pytest.raises(RequestError) as refused:
                await served.ask(b"")
            return refused.value.status, (await served.ask(b"")).body, served.told

    status, body, told = asyncio.run(run())

    assert (status, body) == (500, b"fine")
    assert any("ZeroDivisionError: a bug" in line for line in told)
