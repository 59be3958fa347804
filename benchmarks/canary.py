"""What a bad canary costs: faults are injected into one, and the requests that met it are counted until nobody does.

The networks are the tests' tiny ones, two serving processes answer eight clients, and a tenth of the requests meet the canary.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any

import httpx2

from benchmarks.result import write
from demlopment.serving import state
from demlopment.serving.state import Version
from tests.serving import faulty
from tests.serving.endpoint import (
    CLASSES,
    Running,
    digit,
    expected,
    free_ports,
    onnx_network,
    packed,
    registered,
    running,
)

FAULTS = ("none", "slow", "nan", "swapped", "sure", "crashing", "failing", "leaking")
SHARE, CLIENTS = 0.1, 8
SECONDS = 20  # that the clients go on at most; a sound canary is watched all this time
AFTER = 0.5  # s that they go on when it is over
UNCOMPARED = {"abstained": None, "disagreement": None, "classes": None}
# A handler of Python is slower than a network and says what it likes: these would find it out before its fault does.
RAILS = {"sure": UNCOMPARED, "leaking": UNCOMPARED | {"slow": None}, "crashing": {"slow": None}, "failing": {"slow": None}}


class Client(Thread):
    """Sends one picture after another, says what is on each, and notes when it met the canary."""

    def __init__(self, endpoint: Running, number: int, done: Event, share_right: float) -> None:
        super().__init__()
        self.asked, self.met, self.failed = 0, list[float](), 0  # `met`: when each was sent
        self._endpoint, self._number, self._done, self._share_right = endpoint, number, done, share_right

    def run(self) -> None:
        with httpx2.Client(base_url=self._endpoint.addresses.inference, timeout=20, trust_env=False) as http:
            while not self._done.is_set():
                picture = (self._number * 7 + self.asked) % 50
                sent = time.perf_counter()
                answer = http.post("/predictions/digits", content=digit(picture))
                self.asked += 1
                if answer.is_success:
                    said = {"request_id": answer.headers["x-request-id"], "label": self._truth(picture)}
                    http.post("/feedback", json=said)
                if answer.headers.get("x-arm") == "treatment" or not answer.is_success:
                    self.met.append(sent)
                    self.failed += not answer.is_success

    def _truth(self, picture: int) -> str:
        """The control is right about a share of the pictures."""
        best = int(expected(digit(picture), "1.0").argmax())
        return CLASSES[best if picture < 50 * self._share_right else (best + 1) % 10]


def run(rounds: int = 3) -> Path:
    """Measure and write the result."""
    figures: dict[str, Any] = {"share": SHARE, "clients": CLIENTS, "rounds": rounds, "faults": {}}
    for fault in FAULTS:
        figures["faults"][fault] = _together([_round(fault) for _ in range(rounds)])
    figures["faults"]["byte-identical"] = {"refused": _refusal()}
    return write("canary", figures)


def _round(fault: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _registered(Path(folder), fault)
        with running(Path(folder), free_ports(processes=2, allow_handlers=True)) as endpoint:
            rails = {"memory_mb": 100, **RAILS.get(fault, {})}
            canary = {"steps": [SHARE], "dwell": 3600, "guardrails": rails}
            plan = {"control": "1.0", "treatments": [{"version": "2.0"}], "unit": "request", "canary": canary}
            began = time.perf_counter()
            endpoint.management.put("/models/digits/traffic", json=plan).raise_for_status()
            clients = _until_it_is_over(endpoint, share_right=0.7 if fault == "sure" else 1.0)
            found = endpoint.management.get("/models/digits/traffic").json()["canary"]
    met = sorted(at - began for client in clients for at in client.met)
    return {
        "state": found["state"],
        "reason": found["reason"],
        "asked": sum(client.asked for client in clients),
        "met": len(met),
        "failed": sum(client.failed for client in clients),
        "last_seconds": met[-1] if met else 0.0,
    }


def _registered(folder: Path, fault: str) -> None:
    home = registered(folder, "1.0")
    made = (faulty.handler if fault in faulty.HANDLERS else faulty.network)(home.models, fault, "2.0")
    path = state.path(home)
    state.save(path, state.load(path).register("digits", "2.0", made))


def _until_it_is_over(endpoint: Running, share_right: float) -> Sequence[Client]:
    done = Event()
    clients = [Client(endpoint, number, done, share_right) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    deadline = time.perf_counter() + SECONDS
    while time.perf_counter() < deadline:
        if endpoint.management.get("/models/digits/traffic").json()["canary"]["state"] == "rolled back":
            break
        time.sleep(0.02)
    time.sleep(AFTER)
    done.set()
    for client in clients:
        client.join()
    return clients


def _together(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median and the worst of the rounds."""
    figures: dict[str, Any] = {"states": sorted({each["state"] for each in rounds}), "reason": rounds[-1]["reason"]}
    for name in ("asked", "met", "failed", "last_seconds"):
        values = [each[name] for each in rounds]
        figures[name] = {"median": median(values), "most": max(values)}
    return figures


def _refusal() -> str:
    """What a version that is the control under another number is told."""
    with tempfile.TemporaryDirectory() as folder:
        home = registered(Path(folder), "1.0")
        content = packed(home.models, "2.0", network=onnx_network("1.0"))
        path = state.path(home)
        state.save(path, state.load(path).register("digits", "2.0", Version(content.name, content.name, 1, 1)))
        with running(Path(folder), free_ports()) as endpoint:
            plan = {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": {}}
            answer = endpoint.management.put("/models/digits/traffic", json=plan)
    return f"{answer.status_code}: {answer.json()['message']}"
