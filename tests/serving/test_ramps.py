"""Canaries in a real endpoint: good ones climb, bad ones lose their traffic, and whatever is doubtful is the control's."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demlopment.serving import read, state
from demlopment.serving.state import Version
from tests.serving import faulty
from tests.serving.endpoint import Running, digit, eventually, free_ports, registered, running
from tests.serving.handlers.hosting import packed

PATH = "/models/digits/traffic"
# The tiny networks of the tests contradict each other, whichever one takes.
LOOSE = {"classes": None, "disagreement": None, "abstained": None}


def canary(endpoint: Running, version: str = "2.0", **chosen: Any) -> dict[str, Any]:
    plan = {"control": "1.0", "treatments": [{"version": version}], "unit": "request", "canary": chosen}
    answer = endpoint.management.put(PATH, json=plan)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def stands(endpoint: Running) -> tuple[str, float]:
    plan = endpoint.management.get(PATH).json()
    return plan["canary"]["state"], plan["treatments"][0]["share"]


def chronicle(endpoint: Running) -> list[tuple[str, float]]:
    """What happened, and the canary's share from then on; the last line may be written after its event is in force."""
    events = [json.loads(line) for line in (endpoint.home.endpoint / "traffic.jsonl").read_text().splitlines()]
    return [(each["event"], each["plan"]["treatments"][0]["share"]) for each in events]


def commanded(endpoint: Running, command: str, **query: Any) -> int:
    return endpoint.management.put(f"{PATH}/{command}", params=query).status_code


def ask(endpoint: Running, requests: int) -> list[str]:
    """The arm that answered each, or the status where none did."""
    found = []
    for number in range(requests):
        answer = endpoint.inference.post("/predictions/digits", content=digit(number % 50))
        found.append(answer.headers.get("x-arm", str(answer.status_code)))
    return found


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Running]:
    registered(tmp_path, "1.0", "2.0")
    with running(tmp_path, free_ports(processes=2)) as started:
        yield started


def test_a_good_canary_climbs_by_itself_and_the_chronicle_says_so(endpoint: Running) -> None:
    begun = canary(endpoint, steps=[0.2, 0.5], dwell=0, requests=5, guardrails=LOOSE)

    complete = eventually(lambda: bool(ask(endpoint, 5)) and stands(endpoint) == ("complete", 0.5))

    assert begun["treatments"] == [{"version": "2.0", "share": 0.2}]
    assert complete
    assert eventually(lambda: chronicle(endpoint) == [("begun", 0.2), ("moved on", 0.5), ("moved on", 0.5)])


def test_pausing_resuming_and_aborting_are_one_call_each(endpoint: Running) -> None:
    number = canary(endpoint, steps=[0.5, 0.6], dwell=0, requests=1, guardrails=LOOSE)["number"]
    paused = commanded(endpoint, "pause", number=number), stands(endpoint)[0]
    ask(endpoint, 10)
    twice = commanded(endpoint, "pause")
    stale = commanded(endpoint, "resume", number=number + 1)
    unread = commanded(endpoint, "abort", number="last"), commanded(endpoint, "abort", number=0)
    resumed = commanded(endpoint, "resume")
    went_on = eventually(lambda: bool(ask(endpoint, 5)) and stands(endpoint) == ("complete", 0.6))
    aborted = commanded(endpoint, "abort"), stands(endpoint)
    again = commanded(endpoint, "resume")

    assert unread == (400, 409)
    assert (paused, twice, stale, resumed, went_on) == ((200, "paused"), 409, 409, 200, True)
    assert (aborted, again) == ((200, ("aborted", 0.0)), 409)
    assert set(ask(endpoint, 20)) == {"control"}
    assert commanded(endpoint, "hurry") == 404


def test_two_who_replace_one_plan_hear_of_each_other(endpoint: Running) -> None:
    plan = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.1}]}
    first = endpoint.management.put(PATH, json=plan | {"replaces": 0})
    second = endpoint.management.put(PATH, json=plan | {"replaces": 0})
    third = endpoint.management.put(PATH, json=plan | {"replaces": first.json()["number"]})

    assert (first.status_code, second.status_code, third.status_code) == (200, 409, 200)
    assert "plan 1 is in force, and not 0" in second.json()["message"]


def test_after_a_restart_the_control_answers_until_somebody_resumes_the_canary(tmp_path: Path) -> None:
    registered(tmp_path, "1.0", "2.0")
    with running(tmp_path, free_ports(processes=2)) as endpoint:
        canary(endpoint, steps=[0.9], dwell=3600, guardrails=LOOSE)
        assert "treatment" in ask(endpoint, 20)
        endpoint.process.kill()
    with running(tmp_path, free_ports(processes=2)) as endpoint:
        halted, arms = stands(endpoint), set(ask(endpoint, 20))
        resumed = commanded(endpoint, "resume")
        after = set(ask(endpoint, 40))

    assert (halted, arms) == (("halted", 0.0), {"control"})
    assert (resumed, "treatment" in after) == (200, True)


def test_a_serving_process_that_dies_takes_the_canarys_traffic_with_it(endpoint: Running) -> None:
    canary(endpoint, steps=[0.5], dwell=3600, guardrails=LOOSE)
    ask(endpoint, 5)
    assert eventually(lambda: all(endpoint.pids(version="1.0")))

    os.kill(endpoint.pids(version="1.0")[0], signal.SIGKILL)

    assert eventually(lambda: stands(endpoint) == ("rolled back", 0.0))
    assert "a serving process died" in endpoint.management.get(PATH).json()["canary"]["reason"]


def test_one_whose_end_finds_a_full_disk_is_halted_until_there_is_room_and_then_rolled_back(tmp_path: Path) -> None:
    add(tmp_path, faulty.network(registered(tmp_path, "1.0").models, "swapped", "2.0"))
    with running(tmp_path, free_ports(processes=2)) as endpoint:
        canary(endpoint, steps=[0.5], dwell=3600)
        resource.prlimit(endpoint.process.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
        halted = eventually(lambda: bool(ask(endpoint, 5)) and stands(endpoint) == ("halted", 0.0))
        resource.prlimit(endpoint.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        arms = set(ask(endpoint, 20))
        rolled_back = eventually(lambda: stands(endpoint) == ("rolled back", 0.0))

    assert halted
    assert arms == {"control"}
    assert rolled_back


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("slow", "of its answers took over 3 times the control's"),
        ("nan", "of its requests failed"),
        ("swapped", "the control reads over 10% of its pictures otherwise"),
        ("sure", "its confidence is over 10% above the share that is right"),
        ("crashing", "of its requests failed"),
        ("failing", "of its requests failed"),
        ("leaking", "MB more than when it began"),
    ],
)
def test_a_canary_with_a_fault_is_rolled_back_after_few_requests(tmp_path: Path, fault: str, reason: str) -> None:
    home = registered(tmp_path, "1.0")
    make = faulty.handler if fault in faulty.HANDLERS else faulty.network
    add(tmp_path, make(home.models, fault, "2.0"))
    spared = {"sure": LOOSE, "leaking": LOOSE | {"slow": None}}  # what would find it out before
    met: list[str] = []
    with running(tmp_path, free_ports(processes=2, allow_handlers=True)) as endpoint:
        canary(endpoint, steps=[0.5], dwell=3600, guardrails={"memory_mb": 100, **spared.get(fault, {})})

        def over() -> bool:
            met.extend(told(endpoint, len(met), right=fault != "sure"))
            return stands(endpoint)[0] == "rolled back"

        assert eventually(over, 60), stands(endpoint)
        after = set(ask(endpoint, 50))
        plan = endpoint.management.get(PATH).json()

    assert reason in plan["canary"]["reason"]
    assert after == {"control"}
    # Memory is looked at once a second: what it costs until then is a matter of how quickly a client asks.
    assert sum(arm != "control" for arm in met) <= (2000 if fault == "leaking" else 200)


def told(endpoint: Running, first: int, *, right: bool) -> list[str]:
    """The arms that ten requests met, or the status; each answer is then said to be right, or wrong."""
    met = []
    for number in range(first, first + 10):
        answer = endpoint.inference.post("/predictions/digits", content=digit(number % 50))
        met.append(answer.headers.get("x-arm", str(answer.status_code)))
        if answer.is_success and not right:
            truth = str((int(answer.text) + 1) % 10)
            endpoint.inference.post("/feedback", json={"request_id": answer.headers["x-request-id"], "label": truth})
    return met


def add(root: Path, version: Version) -> None:
    path = state.path(registered(root))
    state.save(path, state.load(path).register("digits", "2.0", version))


SLOW = """
import os, time

def handle(data, context):
    while data and not os.path.exists("%s"):
        time.sleep(0.01)
    return data and ["late"] * len(data)
"""


def test_what_waits_for_a_canary_is_answered_by_the_control_once_it_ends(tmp_path: Path) -> None:
    home, gate = registered(tmp_path, "1.0"), tmp_path / "gate"
    manifest = {"modelName": "digits", "handler": "handler.py", "modelVersion": "2.0"}
    path = packed(home.models / "digits-2.0.mar", {"handler.py": SLOW % gate}, manifest)
    add(tmp_path, Version(path.name, path.name, 1, 1, kind="handler"))

    with running(tmp_path, free_ports(processes=2, allow_handlers=True)) as endpoint, ThreadPoolExecutor(12) as clients:

        def waiting() -> int:
            (described,) = endpoint.management.get("/models/digits/2.0").json()
            return int(described["jobQueueStatus"]["pendingRequests"])

        def post(path: str) -> httpx2.Response:
            return endpoint.inference.post(path, content=digit(1), timeout=60)

        canary(endpoint, steps=[0.9], dwell=3600, guardrails=LOOSE | {"slow": None})
        begun = clients.submit(post, "/predictions/digits/2.0")
        assert eventually(lambda: waiting() == 0 and not begun.done())
        named = clients.submit(post, "/predictions/digits/2.0")
        assert eventually(lambda: waiting() == 1)
        others = [clients.submit(post, "/predictions/digits") for _ in range(10)]
        assert eventually(lambda: waiting() > 5)

        assert endpoint.management.put(f"{PATH}/abort").status_code == 200
        told = [each.result() for each in others]

        assert not begun.done(), "who has a worker keeps it"
        assert not named.done(), "who asked for the version waits for it"
        gate.touch()
        late = [begun.result().text, named.result().text]

    assert {(answer.status_code, answer.headers["x-arm"]) for answer in told} == {(200, "control")}
    assert late == ["late", "late"]


FRAGILE = """
import os

if os.path.exists("%s"):
    raise RuntimeError("its model is gone")

def handle(data, context):
    return data and ["late"] * len(data)
"""


def test_a_treatment_whose_handler_cannot_be_started_fails_nobody_and_costs_a_canary_its_traffic(tmp_path: Path) -> None:
    home, gone = registered(tmp_path, "1.0"), tmp_path / "gone"
    manifest = {"modelName": "digits", "handler": "handler.py", "modelVersion": "2.0"}
    path = packed(home.models / "digits-2.0.mar", {"handler.py": FRAGILE % gone}, manifest)
    add(tmp_path, Version(path.name, path.name, 1, 1, kind="handler"))
    plan = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}], "unit": "request"}
    settings = free_ports(processes=2, allow_handlers=True)

    with running(tmp_path, settings) as endpoint:
        assert endpoint.management.put(PATH, json=plan).status_code == 200
        whole = set(ask(endpoint, 40))
    gone.touch()
    with running(tmp_path, settings) as endpoint:
        split = set(ask(endpoint, 40))
        canary(endpoint, steps=[0.5], dwell=3600)
        met = ask(endpoint, 60)
        assert eventually(lambda: stands(endpoint)[0] == "rolled back")
        reason = endpoint.management.get(PATH).json()["canary"]["reason"]

    assert whole == {"control", "treatment"}
    assert split == {"control", "direct"}
    assert set(met) == {"control", "direct"}
    assert "of its requests failed" in reason


@pytest.mark.parametrize("fault", ["swapped", "failing"])
def test_a_strict_endpoint_rolls_back_as_well_and_tells_no_arm(tmp_path: Path, fault: str) -> None:
    home = registered(tmp_path, "1.0")
    make = faulty.handler if fault in faulty.HANDLERS else faulty.network
    add(tmp_path, make(home.models, fault, "2.0"))
    with running(tmp_path, free_ports(processes=2, allow_handlers=True, strict=True, token_authorization=False)) as endpoint:
        canary(endpoint, steps=[0.5], dwell=3600)
        rolled_back = eventually(lambda: bool(ask(endpoint, 10)) and stands(endpoint)[0] == "rolled back", 60)
        told = set(ask(endpoint, 30))

    arms = [prediction.arm for prediction in read(tmp_path / "endpoint/journal")[0]]
    assert rolled_back
    assert told == {"200"}
    assert set(arms) - {"shadow"} <= {"control", "treatment"}
    assert arms[-30:] == ["control"] * 30
