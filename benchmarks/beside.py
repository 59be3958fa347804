"""What a look costs those who are answered meanwhile: one running endpoint, with and without looks at it beside, in turns.

With looks, one follows the other without a pause for as long as the load lasts, which is more than anybody would do.
"""

import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contestants import OURS, ours
from benchmarks.digits import prepared
from benchmarks.load import put_on, wrk
from benchmarks.result import summary, write

ROUNDS = 5
CONNECTIONS = (1, 32)
WAYS = ("without", "with")
MEASURES = ("requests_per_second", "p50_ms", "p99_ms")


def run(rounds: int, seconds: float) -> Path:
    """Measure and write the result. Raises SystemExit without wrk."""
    wrk()
    loads: dict[tuple[str, int], list[Any]] = defaultdict(list)
    looks = 0
    with tempfile.TemporaryDirectory() as folder:
        material, place = prepared(Path(folder), 2), Path(folder) / "run"
        place.mkdir()
        with ours(material, OURS.batches[0], place) as running:
            for connections in (*CONNECTIONS, *CONNECTIONS):  # warm
                put_on(running.target, connections, 1)
            for _ in range(rounds):
                for connections in CONNECTIONS:
                    loads["without", connections].append(put_on(running.target, connections, seconds))
                    with looked_at(place / "home") as done:
                        loads["with", connections].append(put_on(running.target, connections, seconds))
                    looks += len(done)
    figures = {
        way: {
            str(connections): {each: summary([getattr(load, each) for load in loads[way, connections]]) for each in MEASURES}
            | {"errors": sum(load.errors for load in loads[way, connections])}
            for connections in CONNECTIONS
        }
        for way in WAYS
    }
    ratios = {
        str(connections): {
            each: figures["with"][str(connections)][each]["median"] / figures["without"][str(connections)][each]["median"]
            for each in MEASURES
        }
        for connections in CONNECTIONS
    }
    return write("beside", {"loads": figures, "with_over_without": ratios, "looks": looks})


@contextmanager
def looked_at(home: Path) -> Iterator[list[int]]:
    """One look after the other, until the block ends; the list has an entry for each whole one."""
    command = [sys.executable, "-m", "demlopment", "--home", str(home), "monitor", "look"]
    done: list[int] = []
    failed: list[str] = []
    over = threading.Event()

    def looking() -> None:
        while not over.is_set():
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as look:
                while look.poll() is None and not over.wait(0.05):
                    pass
                if over.is_set():
                    look.kill()
                elif look.returncode:
                    assert look.stderr is not None
                    failed.append(look.stderr.read().decode())
                    return
                else:
                    done.append(1)

    thread = threading.Thread(target=looking)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
    if failed:
        raise SystemExit(failed[0])
