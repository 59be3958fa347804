"""What the monitors last said of each version, as the metrics port tells it. Reads their small files; knows no monitor."""

import json
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Any

from demlopment.home import Home
from demlopment.serving.tally import Tally

FORMAT = 1  # of the file; one of another format is told as broken
FIELDS = {"monitor", "sentence", "value", "interval", "threshold", "alarm", "broken"}  # of each finding


def path(home: Home, model: str, version: str) -> Path:
    """Where a look at that version is written down."""
    return home.root / "monitors" / f"{model}-{version}.json"


def read(file: Path) -> dict[str, Any] | None:
    """What stands there; None where there is nothing that can be read."""
    try:
        found = json.loads(file.read_bytes())
        whole = found["format"] == FORMAT and float(found["at"]) >= 0 and all(set(each) >= FIELDS for each in found["findings"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if whole else None


def tell(home: Home, served: Iterable[tuple[str, str]], tally: Tally) -> None:
    """Of each served version (model, version) that was looked at; of the others nothing."""
    for key in served:
        file = path(home, *key)
        if not file.exists():
            continue
        found = read(file)
        if found is None:
            tally.gauge("demlopment_monitor_broken", *key, "file", value=1.0)
            continue
        tally.gauge("demlopment_monitor_timestamp_seconds", *key, value=float(found["at"]))
        for each in found["findings"]:
            series = (*key, str(each["monitor"]))
            tally.gauge("demlopment_monitor_alarm", *series, value=float(bool(each["alarm"])))
            tally.gauge("demlopment_monitor_broken", *series, value=float(bool(each["broken"])))
            if isinstance(each["value"], int | float) and isfinite(each["value"]):
                tally.gauge("demlopment_monitor_value", *series, value=float(each["value"]))
