"""One benchmark's figures with the machine and the versions they were measured on."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Where this runs: a figure without it cannot be compared."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "unknown")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "demlopment": version("demlopment"),
    }


def summary(samples: list[float]) -> dict[str, float]:
    """Least, median and greatest of several runs; the median is the one to quote."""
    return {"runs": len(samples), "least": min(samples), "median": median(samples), "greatest": max(samples)}


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write the figures of one benchmark; a later run replaces them, and git keeps the earlier ones."""
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2) + "\n")
    return path
