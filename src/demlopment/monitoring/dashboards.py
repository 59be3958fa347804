"""Signals as a dashboard of Grafana: a row for what they are about, a panel for a title. Knows Grafana's JSON and no figure."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from demlopment.monitoring.rules import SERVICE
from demlopment.monitoring.signals import signals
from demlopment.monitoring.watched import Objectives, Signal, Unit

SCHEMA = 39  # of dashboards, Grafana 11; later ones migrate it by themselves
WIDE, HIGH, COLUMNS = 8, 8, 24  # of a panel, and of the page, in Grafana's grid
UNITS: dict[Unit, str] = {
    "share": "percentunit",
    "seconds": "s",
    "bytes": "bytes",
    "per second": "reqps",
    "number": "short",
}
SOURCE = {"type": "prometheus", "uid": "${source}"}
CHOSEN = 'and on (job) demlopment_info{job=~"$job"}'
# An endpoint that is down says nothing of itself, and its alert should be seen all the same.
RINGING = f'ALERTS{{service="{SERVICE}", alertstate="firing", job=~"$job"}}'


def dashboard(objectives: Objectives) -> str:
    """The file that Grafana imports or provisions."""
    panels: list[dict[str, Any]] = []
    top = 0
    ringing = Signal("Alerts that ring", "number", RINGING, "{{alertname}}")
    for title, group in {"Alerts": (ringing,), **signals(objectives)}.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, top, COLUMNS, 1)})
        drawn = [list(same) for _, same in groupby(group, key=lambda each: each.title)]
        for number, same in enumerate(drawn):
            row, column = divmod(number, COLUMNS // WIDE)
            panels.append(_panel(same, _place(column * WIDE, top + 1 + row * HIGH, WIDE, HIGH)))
        top += 1 + HIGH * -(-len(drawn) // (COLUMNS // WIDE))
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    return json.dumps(_page(panels), indent=2) + "\n"


def _page(panels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uid": "demlopment-endpoint",
        "title": "deMLopment: the endpoint",
        "tags": [SERVICE],
        "schemaVersion": SCHEMA,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), _jobs()]},
        "panels": panels,
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _jobs() -> dict[str, Any]:
    query = "label_values(demlopment_info, job)"
    return {
        "name": "job",
        "label": "Endpoint",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": "jobs"},
        "definition": query,
        "refresh": 2,  # whenever the time range changes
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(same: Sequence[Signal], place: dict[str, int]) -> dict[str, Any]:
    first = same[0]
    return {
        "type": "timeseries",
        "title": first.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": UNITS[first.unit], "min": 0, **_limit(first)}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": each.series if each.series == RINGING else f"({each.series}) {CHOSEN}",
                "legendFormat": each.legend,
            }
            for number, each in enumerate(same)
        ],
    }


def _limit(signal: Signal) -> dict[str, Any]:
    """A line where an alert begins."""
    if signal.limit is None:
        return {}
    steps = [{"color": "green", "value": None}, {"color": "red", "value": round(signal.limit, 6)}]
    return {"thresholds": {"mode": "absolute", "steps": steps}, "custom": {"thresholdsStyle": {"mode": "line"}}}


def _place(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}
