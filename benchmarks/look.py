"""What a look at a million answers costs: read from the lake's tables, measured, joined with their labels, and tested.

In a process of its own, whose memory is told.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.result import write
from demlopment import archive as archives
from demlopment import monitoring
from demlopment.archive import Archive, Card
from demlopment.data import packaged_digits
from demlopment.data.answers import COLUMNS, FEEDBACK, PREDICTIONS
from demlopment.data.delta import DeltaStore
from demlopment.home import Home
from demlopment.images import VERSION
from demlopment.legibility import limits
from demlopment.monitoring.strangers import centres

ANSWERS, SEGMENT = 1_000_000, 50_000
LABELLED = 0.2  # share of the answers
WIDTH, CLASSES = 64, 10


def run(answers: int = ANSWERS) -> Path:
    """Fill a lake, look at it in a process of its own, and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "var")
        home.open()
        packed = filled(home, answers)
        command = [sys.executable, "-m", "benchmarks.look", str(home.root), str(archives.write(home.models, packed))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return write("look", {"answers": answers, "labels": int(answers * LABELLED), **json.loads(done.stdout)})


def filled(home: Home, answers: int) -> Archive:
    """A lake of so many answers to real digits, in segments, and the archive that gave them."""
    rng = np.random.default_rng(1)
    frame = packaged_digits().frame
    pictures = np.frombuffer(b"".join(frame["image"]), np.uint8).reshape(-1, 28, 28)
    shares = rng.dirichlet(np.full(CLASSES, 0.02), len(pictures)).astype(np.float32)
    points = rng.standard_normal((len(pictures), WIDTH)).astype(np.float32)
    middles = centres(points[:2500], shares[:2500].argmax(axis=1).astype(np.int64))
    known = np.arange(2500, 3000)
    reference = monitoring.profile(pictures[known], shares[known], points[known], centres=middles, limits=limits(pictures))
    store = DeltaStore(home.lake)
    raw = [[row.tobytes() for row in column] for column in (pictures, shares, points)]
    for begin in range(0, answers, SEGMENT):
        chosen = rng.integers(0, len(pictures), min(SEGMENT, answers - begin))
        ids = [f"{begin + number:032d}" for number in range(len(chosen))]
        told = shares[chosen].argmax(axis=1).astype(str).tolist()
        columns: dict[str, Any] = {
            "segment": [f"s{begin}"] * len(chosen),
            "row": np.arange(len(chosen)),
            "request_id": ids,
            "at": begin + np.arange(len(chosen), dtype=np.float64),
            "model": ["digits"] * len(chosen),
            "version": ["1.0"] * len(chosen),
            "arm": ["direct"] * len(chosen),
            "unit": ids,
            "image": [raw[0][row] for row in chosen],
            "label": told,
            "probabilities": [raw[1][row] for row in chosen],
            "embedding": [raw[2][row] for row in chosen],
            "latency_ms": np.ones(len(chosen)),
            "digest": ids,
        }
        schema = {"segment": pl.String, "row": pl.Int64, **COLUMNS[PREDICTIONS]}
        store.append(PREDICTIONS, pl.DataFrame(columns, schema=schema), batch=f"s{begin}")
        heard = np.flatnonzero(rng.random(len(chosen)) < LABELLED)
        labels = {
            "segment": [f"s{begin}"] * len(heard),
            "row": np.arange(len(heard)),
            "request_id": [ids[row] for row in heard],
            "at": begin + heard + 500.0,
            "label": [told[row] if rng.random() < 0.98 else "x" for row in heard],
        }
        store.append(
            FEEDBACK,
            pl.DataFrame(labels, schema={"segment": pl.String, "row": pl.Int64, **COLUMNS[FEEDBACK]}),
            batch=f"f{begin}",
        )
    card = Card("digits", "1.0", tuple("0123456789"), VERSION, 1.0, {"accuracy_low": 0.97}, {})
    return Archive(card, b"network", reference, b"sample")


def look(root: Path, archive: Path) -> dict[str, float]:
    """In this process: how long it takes, how much processor time, and how much memory beyond what was imported."""
    from demlopment.lifecycle import watching
    from demlopment.settings import Monitoring

    packed = archives.read(archive)
    began, used = time.perf_counter(), time.process_time()
    found = watching.watch(Home(root), Monitoring(), packed, time.time())
    assert not found.panel.broken, found.panel.broken
    return {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - used,
        "largest_resident_mb": _largest_mb(),
        "windows": len(found.panel.windows),
        "of_answers": found.panel.windows[0].examples,
        "alarms": len(found.panel.alarms),
    }


def _largest_mb() -> float:
    """Of this process and no other; what rusage tells of a child begins with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]), Path(sys.argv[2]))))
