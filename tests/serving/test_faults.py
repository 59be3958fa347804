import asyncio
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest

from demlopment.errors import HomeError, NotReadyError, SettingsError
from demlopment.home import Home
from demlopment.serving import addresses, read, serve
from demlopment.serving import running as found
from demlopment.serving.fleet import Fleet
from demlopment.serving.launch import Launch
from demlopment.serving.slot import Slot
from demlopment.serving.state import State
from tests.serving.endpoint import Load, digit, eventually, free_ports, registered, running, stop

BLOCKED = ("torch", "mlflow", "polars", "deltalake", "dataframely", "scipy", "onnx", "sqlalchemy", "typer")


def gone(pids: list[int], seconds: float = 20) -> bool:
    """Whether all these processes end in time; they need not be our children."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        over = bool(ended.poll(seconds * 1000))
        os.close(descriptor)
        if not over:
            return False
    return True


def test_a_killed_serving_process_loses_no_acknowledged_prediction_and_is_replaced(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    with running(tmp_path) as endpoint:
        victim, survivor = endpoint.pids()
        with Load(endpoint, clients=8) as load:
            load.wait_for(200)
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            healed = eventually(lambda: len(set(endpoint.pids()) - {victim}) == 2)
            load.wait_for(200)
        pids = endpoint.pids()

    kept = {prediction.request_id for prediction in read(tmp_path / "endpoint/journal")[0]}
    assert healed
    assert survivor in pids
    assert len(load.acknowledged) >= 400
    assert set(load.acknowledged) <= kept
    clients = [client for client, _ in load.failures]
    assert len(set(clients)) == len(clients), f"a connection that was not the killed process's failed: {load.failures}"
    # Not a measurement: whose connection is cut learns it at once, and a second is what the endpoint promises.
    assert max(load.failed_at, default=killed) - killed < 1


def test_what_a_killed_process_had_counted_stays_counted(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    with running(tmp_path, free_ports(processes=1)) as endpoint:
        (victim,) = endpoint.pids()
        for _ in range(5):
            endpoint.inference.post("/predictions/digits", content=digit(1))
        before = endpoint.metrics.get("/metrics?name[]=demlopment_predictions_total").text
        os.kill(victim, signal.SIGKILL)
        healed = eventually(lambda: endpoint.pids() not in ([], [victim]))
        after = endpoint.metrics.get("/metrics?name[]=demlopment_predictions_total").text
        restarts = endpoint.metrics.get("/metrics?name[]=demlopment_process_restarts_total").text

    assert healed
    assert before == after
    assert after.endswith(" 5.0\n")
    assert restarts.endswith("demlopment_process_restarts_total 1.0\n")


def test_a_killed_supervisor_leaves_no_process_and_the_next_run_goes_on(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    with running(tmp_path) as endpoint:
        pids = endpoint.pids()
        announced = found(home)
        with Load(endpoint, clients=2) as load:
            load.wait_for(50)
            endpoint.process.kill()
            left = not gone(pids)
    note, believed = (tmp_path / "endpoint/addresses.json").exists(), found(home)

    with running(tmp_path) as again:
        status = again.inference.post("/predictions/digits", content=digit(1)).status_code

    kept = {prediction.request_id for prediction in read(tmp_path / "endpoint/journal")[0]}
    assert announced == endpoint.addresses
    assert len(pids) == 2
    assert not left
    assert (note, believed) == (True, None), "a note that nobody stands behind is not believed"
    assert status == 200
    assert set(load.acknowledged) <= kept


def test_a_port_that_a_killed_endpoint_still_holds_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    home.endpoint.mkdir()
    (home.endpoint / addresses.NOTE).write_text("{}")  # of no supervisor that lives
    busy = socket.create_server(("127.0.0.1", 0))
    port = busy.getsockname()[1]
    monkeypatch.setattr(time, "sleep", lambda _: busy.close())  # who waits gives it time to leave

    with addresses.listening(home, free_ports(management_port=port)) as listeners:
        got = listeners[1].getsockname()[1]

    assert got == port


def test_a_note_without_its_supervisor_says_that_one_was_killed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.endpoint.mkdir()

    before = addresses.left_behind(home)
    with addresses.announced(home, addresses.Addresses("a", "b", "c")):
        alive = addresses.left_behind(home)
        note = (home.endpoint / addresses.NOTE).read_bytes()
    ended = addresses.left_behind(home)
    (home.endpoint / addresses.NOTE).write_bytes(note.replace(f"{os.getpid()}".encode(), b"0"))
    killed = addresses.left_behind(home)

    assert (before, alive, ended, killed) == (False, False, False, True)


ORPHAN = """
import ctypes, os, threading
from demlopment.serving import process
process.LEAVE_SECONDS = 0.05
threading.Thread(target=process._leave_after, args=(os.getppid(),), daemon=True).start()
print("up", os.getpid(), flush=True)
ctypes.CDLL(None).sleep(600)  # as a loop that is busy in native code
"""
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); time.sleep(600)"


def test_a_serving_process_that_is_too_busy_to_notice_leaves_with_its_supervisor() -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", PARENT, ORPHAN], stdout=subprocess.PIPE, text=True)
    with supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline().split()[1])
        supervisor.kill()

        assert gone([pid])


class Asked(Slot):
    """A slot without a process, which could not load anything, and notes that it was asked."""

    def __init__(self, failed: dict[tuple[str, str], str]) -> None:
        self.answer, self.asked = failed, 0

    async def prepare(self, generation: State) -> dict[tuple[str, str], str]:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(("failed", "asked"), [({("digits", "2.0"): "it died"}, [1, 0, 0]), ({}, [1, 1, 1])])
def test_what_the_first_process_cannot_load_the_others_need_not_try(
    failed: dict[tuple[str, str], str], asked: list[int], tmp_path: Path
) -> None:
    slots = [Asked(failed), Asked({}), Asked({})]
    launch = Launch.of(Home(tmp_path), free_ports())
    with socket.socket() as unused:
        fleet = Fleet(unused, launch, attend=Mock(), tell=Mock(), heard=Mock(), slots=list(slots))

        outcome = asyncio.run(fleet.prepare(State()))

    assert outcome == failed
    assert [slot.asked for slot in slots] == asked


def test_a_stopped_endpoint_answers_what_it_was_asked_and_leaves_nothing(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    with running(tmp_path) as endpoint:
        pids = endpoint.pids()
        with Load(endpoint, clients=4) as load:
            load.wait_for(100)
            assert endpoint.process.stdin is not None
            endpoint.process.stdin.close()  # the leash: our own death would do the same
            status = endpoint.process.wait(30)
            left = not gone(pids)

    assert status == 0
    assert not left
    assert found(home) is None
    assert not (tmp_path / "endpoint/addresses.json").exists()
    assert {failure for _, failure in load.failures} <= {"ConnectError"}, "a request was cut off"


def test_a_full_disk_is_said_and_counted_and_heals(tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    with running(tmp_path, free_ports(processes=1)) as endpoint:
        (pid,) = endpoint.pids()
        before = endpoint.inference.post("/predictions/digits", content=digit(1)).status_code
        (journal,) = (tmp_path / "endpoint/journal").glob("*.journal")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, resource.RLIM_INFINITY))

        refused = endpoint.inference.post("/predictions/digits", content=digit(2), headers={"x-request-id": "refused"})
        unready = endpoint.inference.get("/ready").status_code
        feedback = endpoint.inference.post("/feedback", json={"request_id": "a", "label": "3"}).status_code
        counted = endpoint.metrics.get("/metrics?name[]=demlopment_journal_refused_total").text.split()[-1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # Asked first: whoever believes /ready sends nothing else until it says yes.
        ready = endpoint.inference.get("/ready").status_code
        after = endpoint.inference.post("/predictions/digits", content=digit(3), headers={"x-request-id": "after"}).status_code

    kept = [prediction.request_id for prediction in read(tmp_path / "endpoint/journal")[0]]
    assert (before, refused.status_code, unready, feedback, after, ready) == (200, 503, 503, 503, 200, 200)
    assert refused.json()["type"] == "ServiceUnavailableException"
    assert "journal" in refused.json()["message"]
    assert float(counted) == 2
    assert "after" in kept
    assert "refused" not in kept


@pytest.mark.parametrize("shared", [False, True], ids=["plain", "shared with SO_REUSEPORT"])
@pytest.mark.parametrize("name", ["inference_port", "management_port", "metrics_port"])
def test_a_port_in_use_is_named_with_the_setting_that_changes_it(tmp_path: Path, name: str, *, shared: bool) -> None:
    with closing(socket.socket()) as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(SettingsError, match=rf"{port} on 127\.0\.0\.1 is in use.*DEMLOPMENT_ENDPOINT__{name.upper()}"):
            serve(Home(tmp_path), free_ports(**{name: port}), leash=False, ready=lambda _: None)


def test_a_home_that_is_being_served_is_not_served_twice(tmp_path: Path) -> None:
    home = Home(tmp_path)

    with home.locked("serve"), pytest.raises(HomeError, match=r"serve\.lock"):
        serve(home, free_ports(), leash=False, ready=lambda _: None)


def test_a_state_that_cannot_be_read_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "endpoint/state.json"
    path.parent.mkdir()
    path.write_text('{"format": 1, "models": []')

    with pytest.raises(HomeError, match=r"state\.json"):
        serve(Home(tmp_path), free_ports(), leash=False, ready=lambda _: None)

    assert path.read_text() == '{"format": 1, "models": []'


def test_a_process_that_dies_before_it_answers_is_an_error_and_not_a_loop(tmp_path: Path) -> None:
    (tmp_path / "endpoint").mkdir()
    (tmp_path / "endpoint/journal").write_text("a file where a folder is needed")

    with pytest.raises(NotReadyError, match="status 1"):
        serve(Home(tmp_path), free_ports(processes=1), leash=False, ready=lambda _: None)


def test_the_serving_install_needs_neither_torch_nor_mlflow_nor_polars(tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    # Python runs this at the start of the supervisor and of every serving process.
    (blocker / "sitecustomize.py").write_text(
        f"""
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
"""
    )
    probe = subprocess.run(
        [sys.executable, "-c", "import polars"], env={**os.environ, "PYTHONPATH": str(blocker)}, capture_output=True, text=True
    )
    registered(tmp_path / "home", "1.0")

    with running(tmp_path / "home", free_ports(processes=1), PYTHONPATH=str(blocker)) as endpoint:
        answer = endpoint.inference.post("/predictions/digits", content=digit(1))

    assert "polars is blocked" in probe.stderr, "the blocker must block"
    assert answer.status_code == 200
    assert stop(endpoint.process) == 0
