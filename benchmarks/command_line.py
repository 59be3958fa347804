"""How long a person waits for `demlopment --help`: at most 300 ms, interleaved with an interpreter that does nothing."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.result import summary, write

RUNS = 15
LIMIT_SECONDS = 0.3


def seconds(command: list[str]) -> float:
    """Wall-clock time of one run."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def run() -> Path:
    """Measure and write the result."""
    ours = [str(Path(sys.executable).with_name("demlopment")), "--help"]
    nothing = [sys.executable, "-c", "pass"]
    pairs = [(seconds(ours), seconds(nothing)) for _ in range(RUNS + 1)][1:]  # the first run fills the disk's cache
    figures = {
        "help_seconds": summary([pair[0] for pair in pairs]),
        "bare_python_seconds": summary([pair[1] for pair in pairs]),
        "limit_seconds": LIMIT_SECONDS,
    }
    return write("command_line", figures)
