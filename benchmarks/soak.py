"""Whether memory stays where it is: a mixed load for ten minutes, with every process of the endpoint weighed all the time."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import OURS, Running, ask, ours, registered, resident_mb, serving, unregistered
from benchmarks.digits import CHALLENGER, CHAMPION, MODEL, NEWCOMER, prepared
from benchmarks.load import Target, put_on, wrk
from benchmarks.result import write

MINUTES = 10.0
WARM_SHARE = 0.5  # of the time: the allocator's pools grow by some 2 MB in the first four minutes, and then no more
SAMPLE_SECONDS = 1.0
BLOCK = 10  # samples that are averaged: what the load does in turn would look like noise that repeats
# 32 bytes that stay behind of each of 5,000 requests a second are 10 MB a minute; this is a hundredth of that.
FLAT_MB_A_MINUTE = 0.2


@dataclass
class Weights:
    """The memory of some processes, sampled in the background."""

    pids: dict[str, int]
    samples: list[tuple[float, dict[str, float]]] = field(default_factory=list)  # seconds since the start; MB by name
    _done: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample for as long as the block lasts."""
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _sample(self) -> None:
        began = time.monotonic()
        while not self._done.wait(SAMPLE_SECONDS):
            self.samples.append((time.monotonic() - began, {name: resident_mb(pid) for name, pid in self.pids.items()}))


def run(minutes: float = MINUTES) -> Path:
    """Measure and write the result, which says of each process whether it is flat. Raises SystemExit without wrk."""
    wrk()
    with tempfile.TemporaryDirectory() as folder:
        material = prepared(Path(folder), 2)
        place = Path(folder) / "run"
        place.mkdir()
        # A tenth of the images keeps the journal of some million predictions within its usual limits.
        with ours(material, OURS.batches[0], place, JOURNAL_IMAGES="0.1") as running:
            pids = {"supervisor": running.pid} | {f"serving {number}": pid for number, pid in enumerate(serving(running), 1)}
            weights = Weights(pids)
            with weights.sampled():
                requests = _mixed(running, material.picture_json, minutes * 60)
            same = sorted(pids.values()) == sorted([running.pid, *serving(running)])
    trends = {name: _trend(weights, name) for name in pids}
    flat = same and all(trend["flat"] for trend in trends.values())
    figures = {"minutes": minutes, "requests": requests, "processes": trends, "none_was_replaced": same, "flat": flat}
    return write("soak", figures | {"limit_mb_a_minute": FLAT_MB_A_MINUTE})


def _mixed(running: Running, nonsense: Path, seconds: float) -> int:
    """Good pictures, bodies that are none, unknown models, other versions; versions that come and go; every page there is."""
    good = running.target
    targets = (
        (good, 32, 4.0),
        (Target(good.url, nonsense, "image/png"), 8, 1.0),
        (Target(f"{good.url}-unknown", good.body, good.content_type), 8, 1.0),
        (Target(f"{good.url}/{CHALLENGER}", good.body, good.content_type), 8, 2.0),
        (good, 256, 2.0),
    )
    deadline, requests = time.monotonic() + seconds, 0.0
    while time.monotonic() < deadline:
        for target, connections, turn in targets:
            requests += put_on(target, connections, turn).requests_per_second * turn
        registered(running, NEWCOMER)
        unregistered(running, NEWCOMER)
        plan = f'{{"control": "{CHAMPION}", "treatments": [{{"version": "{CHALLENGER}", "share": 0.5}}]}}'
        ask(f"{running.management}/models/{MODEL}/traffic", plan.encode(), method="PUT")
        for page in (f"{running.management}/models", f"{running.management}/models/{MODEL}/all", f"{running.metrics}/metrics"):
            ask(page, method="GET")
    return round(requests)


def _trend(weights: Weights, name: str) -> dict[str, Any]:
    """The slope of one process's memory with its standard error, from a line through the means of blocks."""
    samples = weights.samples[int(len(weights.samples) * WARM_SHARE) :]
    blocks = [samples[first : first + BLOCK] for first in range(0, len(samples) - BLOCK + 1, BLOCK)]
    if len(blocks) < 3:
        raise SystemExit("The soak is too short for a line: give it at least a minute.")
    minutes = np.array([np.mean([at for at, _ in block]) / 60 for block in blocks])
    weight = np.array([np.mean([each[name] for _, each in block]) for block in blocks])
    centred = minutes - minutes.mean()
    slope = float(centred @ weight / (centred @ centred))
    rest = weight - weight.mean() - slope * centred
    error = float(np.sqrt(rest @ rest / (len(blocks) - 2) / (centred @ centred)))
    return {
        "mb": [round(float(each), 1) for each in weight],
        "greatest_mb": max(each[name] for _, each in weights.samples),
        "mb_a_minute": slope,
        "standard_error": error,
        "flat": slope + 2 * error < FLAT_MB_A_MINUTE,
    }
