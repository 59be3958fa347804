"""When a person should be told, what it means, how often it may be for nothing, and what to do. Knows no file."""

import json
from collections.abc import Callable, Sequence

from demlopment.monitoring import budgets, shortages
from demlopment.monitoring.signals import signals
from demlopment.monitoring.watched import Alert, Objectives, Signal

VERSION = "job, instance, model_name, model_version"


def alerts(objectives: Objectives) -> Sequence[Alert]:
    """All of them."""
    by_title = {each.title: each for group in signals(objectives).values() for each in group}
    of: Callable[[str], Signal] = by_title.__getitem__
    return [
        _down(objectives.job),
        *budgets.burning(objectives),
        *shortages.journal(of),
        *shortages.processes(of),
        *shortages.machine(of),
        *_versions(of),
        *_age(of),
        *_monitors(of),
    ]


def _down(job: str) -> Alert:
    up = f"up{{job={json.dumps(job)}}}"
    return Alert(
        "EndpointDown",
        f"{up} == 0 or absent({up})",
        "2m",
        "page",
        "The metrics port of {{ $labels.job }} {{ $labels.instance }} does not answer, so most likely nobody is answered.",
        "Two minutes without a scrape; a restart takes seconds.",
        "Look at the endpoint's own output and start it again: `demlopment serve`. Where it runs, look at the address, the"
        " token and the certificate that Prometheus scrapes with.",
    )


def _versions(of: Callable[[str], Signal]) -> list[Alert]:
    asked = "sum by (job, model_name, model_version) (increase(demlopment_{}[15m]))"
    lost = f"({asked.format('shadows_dropped_total')} + {asked.format('shadows_failed_total')}) > {budgets.ENOUGH}"
    return [
        Alert(
            "VersionNotServed",
            of("Versions that cannot be served").beyond,
            "2m",
            "page",
            "{{ $value }} registered versions of {{ $labels.instance }} cannot be served.",
            "Two minutes.",
            "`demlopment models verify` names a damaged archive; register it anew, or unregister it.",
        ),
        Alert(
            "CanaryRolledBack",
            'demlopment_canary_state{state="rolled back"} == 1',
            "0m",
            "ticket",
            "Canary {{ $labels.model_version }} of {{ $labels.model_name }} broke a guardrail; the control answers everybody.",
            "Its guardrails' `alpha`: 1 sound canary in so many.",
            "`demlopment traffic show` says which guardrail; `demlopment traffic end` clears the plan.",
        ),
        Alert(
            "CanaryWaits",
            'demlopment_canary_state{state=~"halted|paused"} == 1',
            "1h",
            "ticket",
            "Canary {{ $labels.model_version }} of {{ $labels.model_name }} is {{ $labels.state }} and waits for a person.",
            "An hour; nothing is broken.",
            "`demlopment traffic resume` or `abort`.",
        ),
        Alert(
            "ShadowLost",
            lost,
            "15m",
            "ticket",
            "Shadow {{ $labels.model_version }} of {{ $labels.model_name }} misses pictures, so its comparison is of fewer.",
            f"More than {budgets.ENOUGH} in 15 minutes, for 15 minutes.",
            "Look at the endpoint's own output where it failed; where pictures were dropped the processes are busy.",
        ),
        Alert(
            "MeasurementsDropped",
            "increase(demlopment_handler_metrics_dropped_total[1h]) > 0",
            "0m",
            "ticket",
            "{{ $labels.model_name }} {{ $labels.model_version }} measures under a name that is taken, or in too many series.",
            "At the first that is dropped.",
            "Rename the metric of the handler, or take request ids out of its labels.",
        ),
    ]


def _age(of: Callable[[str], Signal]) -> list[Alert]:
    asked = "sum by (job, instance) (increase(demlopment_predictions_total[1d])) > 0"
    return [
        Alert(
            "ChampionOld",
            of("Age of the champion").beyond,
            "1h",
            "ticket",
            "Version {{ $labels.model_version }} of {{ $labels.model_name }} was made {{ $value | humanizeDuration }} ago.",
            "Beyond `alerts.champion_days`.",
            "`demlopment train` fits a candidate to what came back since; the gate says whether it is better.",
        ),
        Alert(
            "LabelsOld",
            f"{of('Age of the newest label').beyond} and on (job, instance) {asked}",
            "1h",
            "ticket",
            "No label has come back to {{ $labels.instance }} for {{ $value | humanizeDuration }}.",
            "Beyond `alerts.label_days`, where there are requests.",
            "See whether clients still send `POST /feedback`, or label some of the queue: `demlopment data review`.",
        ),
    ]


def _monitors(of: Callable[[str], Signal]) -> list[Alert]:
    asked = "sum by (job, instance) (increase(demlopment_predictions_total[1d])) > 0"
    version = f"sum by ({VERSION}) (increase(demlopment_predictions_total[1d])) > 0"
    return [
        Alert(
            "MonitorAlarms",
            of("Monitors that alarm").beyond,
            "0m",
            "ticket",
            "The monitor {{ $labels.monitor }} of {{ $labels.model_name }} {{ $labels.model_version }} alarms.",
            "All monitors together at most `monitoring.false_alarm_rate` for each window of `monitoring.window` answers.",
            "`demlopment monitor look` says what has changed; look at the newest pictures, then retrain or roll back.",
        ),
        Alert(
            "MonitorBroken",
            of("Monitors that are broken").beyond,
            "0m",
            "ticket",
            "The monitor {{ $labels.monitor }} of {{ $labels.model_name }} {{ $labels.model_version }} cannot be looked at.",
            "At the first look at which it failed; the others are looked at all the same.",
            "`demlopment monitor look` says why.",
        ),
        Alert(
            "MonitorsOld",
            f"{of('Time since the monitors looked').beyond} and on (job, instance) {asked}",
            "1h",
            "ticket",
            "Nobody has looked at {{ $labels.model_name }} {{ $labels.model_version }} for {{ $value | humanizeDuration }}.",
            "Two days without a look, where there are requests.",
            "See why the timer of `demlopment monitor look` does not run.",
        ),
        Alert(
            "MonitorsNever",
            f"(demlopment_archive_timestamp_seconds unless demlopment_monitor_timestamp_seconds) and on ({VERSION}) {version}",
            "2d",
            "ticket",
            "Nobody has ever looked at {{ $labels.model_name }} {{ $labels.model_version }}, which answers requests.",
            "Two days in which it is asked and not looked at.",
            "Have a timer run `demlopment monitor look`, or `demlopment schedule`, which does it every hour.",
        ),
    ]
