"""Our endpoint against real TorchServe, LitServe and BentoML, on the same cores with the same network and the same load.

Journal, metrics and a two-arm split are on. Each round starts every contestant anew, in another order, and the medians of
the rounds are compared, so that whatever else the machine does hits all of them.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import drawing, limit, stages
from benchmarks.contestants import (
    OTHERS,
    OURS,
    PROCESSES,
    Contestant,
    MissingError,
    Running,
    registered,
    resident_mb,
    serving,
    unregistered,
)
from benchmarks.digits import NEWCOMER, Material, prepared
from benchmarks.load import Load, Target, put_on, wrk
from benchmarks.result import RESULTS, summary, write

CONNECTIONS = (1, 32, 256)
BUSY = 32  # the load at which settings are chosen and steps are compared
ROUNDS = 5
SECONDS = 3.0  # of each load; the first of them after a start is not counted
REGISTRATIONS = 9

Loads = dict[int, list[Load]]  # by connections, one a round


def run(rounds: int = ROUNDS, seconds: float = SECONDS) -> Path:
    """Measure and write endpoint.json, endpoint.md and endpoint.svg. Raises SystemExit without wrk."""
    wrk()
    with tempfile.TemporaryDirectory() as folder:
        material = prepared(Path(folder), PROCESSES)
        chosen, skipped, tried = _chosen(material, seconds)
        loads: dict[str, Loads] = {contestant.name: {each: [] for each in CONNECTIONS} for contestant, _ in chosen}
        ready: dict[str, list[float]] = {contestant.name: [] for contestant, _ in chosen}
        steps: dict[str, list[float]] = {stage: [] for stage in ("limit", *stages.STAGES)}
        memory: list[float] = []
        registrations: list[float] = []
        for number in range(rounds):
            for contestant, batch in chosen[number % len(chosen) :] + chosen[: number % len(chosen)]:
                with _started(contestant, material, batch) as running:
                    ready[contestant.name].append(running.ready_seconds)
                    for connections, load in _loaded(running.target, seconds):
                        loads[contestant.name][connections].append(load)
                        _tell(f"round {number + 1} of {rounds}: {contestant.name}, {connections} connections", load)
                    if contestant is OURS:
                        memory += [resident_mb(pid) for pid in serving(running)]
                        for _ in range(REGISTRATIONS):
                            registrations.append(registered(running, NEWCOMER))
                            unregistered(running, NEWCOMER)
            for step, rate in _steps(material, seconds):
                steps[step].append(rate)
    figures = _figures(loads, steps, ready, memory, registrations)
    figures |= {"settings": {contestant.name: {"max_batch": batch} for contestant, batch in chosen}, "tried": tried}
    figures |= {"skipped": skipped, "rounds": rounds, "seconds": seconds}
    path = write("endpoint", figures)
    (RESULTS / "endpoint.md").write_text(drawing.table(figures))
    (RESULTS / "endpoint.svg").write_text(drawing.plot(figures))
    return path


def _chosen(material: Material, seconds: float) -> tuple[list[tuple[Contestant, int]], dict[str, str], dict[str, Any]]:
    """Who takes part, with the setting that is fastest under load; who does not, with the reason; and what was tried."""
    chosen, skipped, tried = [(OURS, OURS.batches[0])], {}, {}
    for contestant in OTHERS:
        rates: dict[int, dict[int, float]] = {}
        try:
            for batch in contestant.batches if len(contestant.batches) > 1 else ():
                with _started(contestant, material, batch) as running:
                    rates[batch] = {each: load.requests_per_second for each, load in _loaded(running.target, seconds / 2)}
            if not rates:
                with _started(contestant, material, contestant.batches[0]):
                    rates[contestant.batches[0]] = dict.fromkeys(CONNECTIONS, 0.0)
        except MissingError as missing:
            skipped[contestant.name] = str(missing)
            print(f"{contestant.name} is skipped: {missing}", flush=True)
            continue
        best = max(rates, key=lambda batch: rates[batch][BUSY])
        chosen.append((contestant, best))
        if len(rates) > 1:
            tried[contestant.name] = {f"max_batch {batch}": rates[batch] for batch in rates}
            print(f"{contestant.name}: of batches of at most {', '.join(map(str, rates))}, {best} is fastest", flush=True)
    return chosen, skipped, tried


@contextlib.contextmanager
def _started(contestant: Contestant, material: Material, batch: int) -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder, contestant.start(material, batch, Path(folder)) as running:
        put_on(running.target, BUSY, 1)  # caches, and compilers at run time
        yield running


def _loaded(target: Target, seconds: float) -> Iterable[tuple[int, Load]]:
    return [(connections, put_on(target, connections, seconds)) for connections in CONNECTIONS]


def _steps(material: Material, seconds: float) -> Iterator[tuple[str, float]]:
    """Requests a second without a server, and with each step that one adds."""
    yield "limit", max(limit.requests_per_second(material, batch, PROCESSES, seconds / 2) for batch in limit.BATCHES)
    for stage in stages.STAGES:
        with stages.running(stage, material, PROCESSES) as target:
            put_on(target, BUSY, 1)
            yield stage, put_on(target, BUSY, seconds / 2).requests_per_second


def _figures(
    loads: dict[str, Loads],
    steps: dict[str, list[float]],
    ready: dict[str, list[float]],
    memory: list[float],
    registrations: list[float],
) -> dict[str, Any]:
    together = {name: {str(each): _together(those[each]) for each in CONNECTIONS} for name, those in loads.items()}
    rates = {step: median(values) for step, values in steps.items()}
    rates["endpoint"] = together[OURS.name][str(BUSY)]["requests_per_second"]["median"]
    return {
        "loads": together,
        "ratios": {name: _ratios(together[OURS.name], theirs) for name, theirs in together.items() if name != OURS.name},
        "in_process_limit": {
            "requests_per_second": summary(steps["limit"]),
            "share_reached": rates["endpoint"] / rates["limit"],
        },
        # Microseconds of these cores that one request takes, the load's own share included.
        "spent_us": {step: PROCESSES * 1e6 / rate for step, rate in rates.items()},
        "resident_mb": summary(memory),
        "ready_seconds": {name: summary(values) for name, values in ready.items()},
        "register_to_ready_seconds": summary(registrations),
        "targets": TARGETS,
    }


TARGETS = {
    "TorchServe at 32": "3 times its requests/s, half its p99; at 1 connection 10 times; at 256 no errors",
    "LitServe and BentoML at 32": "10 times their requests/s",
    "in-process limit": "40 % of it",
    "resident_mb": 160,
    "ready_seconds": 2,
    "register_to_ready_seconds": 0.3,
}


def _together(rounds: list[Load]) -> dict[str, Any]:
    values = [asdict(load) for load in rounds]
    figures: dict[str, Any] = {name: summary([each[name] for each in values]) for name in values[0] if name != "errors"}
    return figures | {"errors": sum(load.errors for load in rounds)}


def _ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, dict[str, float]]:
    """How many times their requests a second, and which part of their p99."""
    return {
        each: {name: ours[each][name]["median"] / theirs[each][name]["median"] for name in ("requests_per_second", "p99_ms")}
        for each in ours
    }


def _tell(what: str, load: Load) -> None:
    errors = f", {load.errors} errors" if load.errors else ""
    print(f"{what}: {load.requests_per_second:,.0f} requests/s, p99 {load.p99_ms:.1f} ms{errors}", flush=True)
