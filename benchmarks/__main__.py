"""Run every benchmark, or those that are named, one after the other, and say where each result lies."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    accuracy,
    assignment,
    beside,
    canary,
    command_line,
    data,
    drift,
    endpoint,
    handlers,
    labelling,
    longrun,
    look,
    monitoring,
    precision,
    shadow,
    soak,
    verdicts,
)

parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks")
parser.add_argument(
    "names",
    nargs="*",
    help="command_line, monitoring, drift (15 minutes), look, labelling (up to 60), verdicts (3), longrun (10), "
    "assignment (3), accuracy (20), data (10), endpoint (8), precision (5), handlers (6), shadow (2), beside (2), canary (4), "
    "soak; all but it if none",
)
parser.add_argument("--rounds", type=int, default=endpoint.ROUNDS, help="of the benchmarks endpoint and handlers")
parser.add_argument("--seconds", type=float, default=endpoint.SECONDS, help="of each of their loads")
parser.add_argument("--minutes", type=float, default=soak.MINUTES, help="of the soak")
parser.add_argument("--mnist", default=os.environ.get("DEMLOPMENT_MNIST"), help="IDX file of pictures for accuracy and data")
parser.add_argument("--seeds", type=int, default=accuracy.SEEDS, help="of the benchmark accuracy")
parser.add_argument("--peer-epochs", type=int, default=0, help="of PyTorch's example beside it: 14 are its own, half an hour")
options = parser.parse_args()
mnist = Path(options.mnist) if options.mnist else None

BENCHMARKS: dict[str, Callable[[], Path]] = {
    "command_line": command_line.run,
    "monitoring": monitoring.run,
    "drift": drift.run,
    "look": look.run,
    "labelling": labelling.run,
    "verdicts": verdicts.run,
    "longrun": longrun.run,
    "assignment": assignment.run,
    "accuracy": lambda: accuracy.run(mnist, options.seeds, options.peer_epochs),
    "data": lambda: data.run(mnist),
    "precision": lambda: precision.run(mnist),
    "endpoint": lambda: endpoint.run(options.rounds, options.seconds),
    "handlers": lambda: handlers.run(options.rounds, options.seconds),
    "canary": canary.run,
    "shadow": lambda: shadow.run(options.rounds, options.seconds),
    "beside": lambda: beside.run(options.rounds, options.seconds),
    "soak": lambda: soak.run(options.minutes),
}
unknown = sorted(set(options.names) - set(BENCHMARKS))
if unknown:
    parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
for name in options.names or [name for name in BENCHMARKS if name != "soak"]:
    print(BENCHMARKS[name](), flush=True)
