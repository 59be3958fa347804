"""What the data room costs: IDX to a snapshot, a snapshot to tensors beside torch's DataLoader and numpy.load, and growth.

Every figure is of a fresh process (benchmarks/once.py). MNIST's own pictures are given by --mnist or DEMLOPMENT_MNIST, the
path of an IDX file with its labels beside it; without them the packaged 5,000 are repeated with jitter.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import growth, idx
from benchmarks.contestants import installed
from benchmarks.once import PEERS
from benchmarks.result import RESULTS, machine, summary, write
from demlopment.cli import ENVIRONMENT

SIZES = (60_000, 600_000, 2_000_000)
ROUNDS = 5
LIMITS = {"ingest_seconds": 3, "peak_mb": 500, "dataloader": 20, "numpy": 3, "time_growth": 11, "memory_growth": 1.5}


def run(mnist: Path | None, rounds: int = ROUNDS, sizes: tuple[int, ...] = SIZES) -> Path:
    """Measure and write the result as JSON, table and plot."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        read = idx.digits(mnist)
        files = {rows: idx.written(place / f"{rows}", rows, *read) for rows in sizes}
        curve = [_grown(place / "home", rows, file, rounds if rows == min(sizes) else 1) for rows, file in files.items()]
        figures = {
            "pictures": "MNIST" if mnist else "the packaged digits, repeated with jitter",
            "limits": LIMITS,
            "curve": curve,
            "growth": [growth.steps(before, after) for before, after in pairwise(curve)],
            "load": _loaded(place / "home", files[min(sizes)], rounds),
        }
    path = write("data", figures)
    where = machine()
    (RESULTS / "data.md").write_text(growth.table(figures, where))
    (RESULTS / "data.svg").write_text(growth.plot(figures))
    return path


def _grown(home: Path, rows: int, file: Path, rounds: int) -> dict[str, Any]:
    """Ingest into an empty lake and pin, several times."""
    runs = []
    for _ in range(rounds):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        runs.append(_once("ingest", home, file))
    return {"rows": rows, "load": os.getloadavg()[0]} | {
        name: summary([run[name] for run in runs]) for name in ("seconds", "cpu_seconds", "ingest_peak_mb", "peak_mb")
    }


def _loaded(home: Path, file: Path, rounds: int) -> dict[str, Any]:
    """Ours and its peers in turns; the first loading of a snapshot, which has no copy yet, apart."""
    times = defaultdict(list)
    for _ in range(rounds):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        _once("ingest", home, file)
        times["ours, the first time"].append(_once("ours", home, file))
        _once("save", home, file)
        for name in ("ours", "numpy.load", "numpy.load of bytes", *PEERS):
            times[name].append(_once(name, home, file))
    spent = {
        name: {each: summary([run[each] for run in runs]) for each in ("seconds", "cpu_seconds", "peak_mb")}
        for name, runs in times.items()
    }
    best = min(spent[name]["seconds"]["median"] for name in PEERS)
    mine = {name: spent[name]["seconds"]["median"] for name in ("ours", "ours, the first time")}
    return {
        "contestants": spent,
        "dataloader_over_ours": {name: best / each for name, each in mine.items()},
        "ours_over_numpy": {name: each / spent["numpy.load"]["seconds"]["median"] for name, each in mine.items()},
        "ours_over_numpy_of_bytes": {
            name: each / spent["numpy.load of bytes"]["seconds"]["median"] for name, each in mine.items()
        },
    }


def _once(work: str, home: Path, file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.once", work, str(home), str(file)]
    environment = ENVIRONMENT | dict(os.environ)  # as a command has it
    if work in PEERS:  # has Pillow, which ours does without
        environment["PYTHONPATH"] = str(next(installed("dataloader").parent.glob("lib/python*/site-packages")))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{work}: {found}", file=sys.stderr, flush=True)
    return found
