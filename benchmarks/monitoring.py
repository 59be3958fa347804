"""What monitoring costs: one window of 100 predictions against a reference of 500 rows, and reading 1,000 outcomes."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.result import summary, write
from demlopment import monitoring
from demlopment.data import packaged_digits
from demlopment.records import Prediction, TrafficPlan, Treatment

RUNS = 15
WINDOW = 100


def seconds(work: Callable[[], object]) -> list[float]:
    """Wall-clock times of several runs after one that is not counted."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times[1:]


def run() -> Path:
    """Measure and write the result."""
    rng = np.random.default_rng(1)
    frame = packaged_digits().frame
    pictures = np.frombuffer(b"".join(frame["image"]), np.uint8).reshape(-1, 28, 28)[rng.permutation(len(frame))]
    answers = rng.dirichlet(np.full(10, 0.05), len(pictures)).astype(np.float32)
    embeddings = rng.standard_normal((len(pictures), 64)).astype(np.float32)
    reference = monitoring.profile(pictures[:500], answers[:500], embeddings[:500])
    window = [
        Prediction(f"{i}", float(i), "digits", "1.0", "control", f"{i}", pictures[i], "0", answers[i], embeddings[i], 1.0, "")
        for i in range(500, 500 + WINDOW)
    ]
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.5),), "salt")
    arms = [("treatment", "2.0") if treated else ("control", "1.0") for treated in rng.random(1000) < 0.5]
    outcomes = [
        monitoring.Outcome(arm, version, bool(rng.random() < 0.95), float(i))  # type: ignore[arg-type]  # arms are literals
        for i, (arm, version) in enumerate(arms)
    ]
    figures = {
        "drift_window_of_100_seconds": summary(
            seconds(lambda: monitoring.drift(reference, window, start=0, false_alarm_rate=0.001))
        ),
        "experiment_of_1000_outcomes_seconds": summary(seconds(lambda: monitoring.read(plan, outcomes))),
    }
    return write("monitoring", figures)
