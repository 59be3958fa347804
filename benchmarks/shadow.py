"""What a shadow costs those who are answered: a two-arm plan with and without one, in turns, on one running endpoint."""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.contestants import OURS, Running, ask, ours, registered
from benchmarks.digits import CHALLENGER, CHAMPION, MODEL, NEWCOMER, prepared
from benchmarks.load import put_on, wrk
from benchmarks.result import summary, write

ROUNDS = 5
CONNECTIONS = (1, 32)
LEAST_SHARE = 0.85  # of the requests a second without the shadow, at 32 connections
PLANS = {"without": [], "with": [NEWCOMER]}


def run(rounds: int, seconds: float) -> Path:
    """Measure and write the result. Raises SystemExit without wrk."""
    wrk()
    with tempfile.TemporaryDirectory() as folder:
        material = prepared(Path(folder), 2)
        place = Path(folder) / "run"
        place.mkdir()
        with ours(material, OURS.batches[0], place) as running:
            registered(running, NEWCOMER)
            loads: dict[tuple[str, int], list[Any]] = defaultdict(list)
            for connections in (*CONNECTIONS, *CONNECTIONS):  # warm
                put_on(running.target, connections, 1)
            for _ in range(rounds):
                for name, shadows in PLANS.items():
                    _plan(running, shadows)
                    for connections in CONNECTIONS:
                        loads[name, connections].append(put_on(running.target, connections, seconds))
            counted = _counted(running)
    figures = {
        name: {
            str(connections): {
                each: summary([getattr(load, each) for load in loads[name, connections]])
                for each in ("requests_per_second", "p50_ms", "p99_ms")
            }
            | {"errors": sum(load.errors for load in loads[name, connections])}
            for connections in CONNECTIONS
        }
        for name in PLANS
    }
    ratios = {
        str(connections): {
            each: figures["with"][str(connections)][each]["median"] / figures["without"][str(connections)][each]["median"]
            for each in ("requests_per_second", "p99_ms")
        }
        for connections in CONNECTIONS
    }
    return write("shadow", {"loads": figures, "with_over_without": ratios, "least_share": LEAST_SHARE, "shadow": counted})


def _plan(running: Running, shadows: list[str]) -> None:
    treatments = [{"version": CHALLENGER, "share": 0.5}]
    plan = json.dumps({"control": CHAMPION, "treatments": treatments, "shadows": shadows}).encode()
    ask(f"{running.management}/models/{MODEL}/traffic", plan, method="PUT")


def _counted(running: Running) -> dict[str, float]:
    """Pictures that the shadow answered, and those that it was not asked about."""
    lines = ask(f"{running.metrics}/metrics", method="GET").decode().splitlines()
    names = {"answered": ("demlopment_predictions_total{", 'arm="shadow"'), "dropped": ("demlopment_shadows_dropped_total{",)}
    return {
        name: sum(float(line.split()[-1]) for line in lines if all(each in line for each in marks))
        for name, marks in names.items()
    }
