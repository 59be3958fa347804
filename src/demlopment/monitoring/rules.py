"""Signals and alerts as a rule file of Prometheus. Knows the file's shape; knows no figure.

The file is JSON, which is YAML too.
"""

import json
from typing import Any

from demlopment.monitoring.alerts import alerts
from demlopment.monitoring.signals import signals
from demlopment.monitoring.watched import Alert, Objectives, Signal

SERVICE = "demlopment"  # the label of every alert, by which one receiver can be told of all


def rules(objectives: Objectives) -> str:
    """The file: what is recorded, then what rings."""
    kept = [each for group in signals(objectives).values() for each in group if each.recorded]
    groups = [
        {"name": "demlopment signals", "rules": [_recording(each) for each in kept]},
        {"name": "demlopment alerts", "rules": [_alerting(each, objectives.runbooks) for each in alerts(objectives)]},
    ]
    return json.dumps({"groups": groups}, indent=2) + "\n"


def _recording(signal: Signal) -> dict[str, Any]:
    return {"record": signal.recorded, "expr": signal.expression}


def _alerting(alert: Alert, runbooks: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasting,
        "labels": {"service": SERVICE, "severity": alert.severity},
        "annotations": {
            "summary": alert.meaning,
            "description": alert.remedy,
            "budget": alert.budget,
            "runbook_url": f"{runbooks}#{alert.name.lower()}",  # as Sphinx and others make anchors of titles
        },
    }
