"""When a person should be told, what it means, how often it may be for nothing, and what to do. Knows no file.

Errors and slow answers are judged by how fast they use up what the objectives allow in 30 days (Google's SRE workbook,
chapter 5, "Alerting on SLOs"): a page rings where 2 % of it is gone within an hour or 5 % within six, a ticket where 10 % is
gone in three days, and each only while a shorter window says that it goes on, so that an alarm ends soon after its cause.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from demlopment.monitoring.signals import OURS, Objectives, Signal, error_share, failed, signals, slow, slow_share

# long window, short window, how many times faster than 30 days would allow
PAGES = (("1h", "5m", 14.4), ("6h", "30m", 6.0))
TICKETS = (("3d", "6h", 1.0),)
Severity = Literal["page", "ticket"]  # a page wakes somebody, a ticket waits for the morning
# how the alert's name ends, its windows, how long it must last, severity, budget
BURNS: tuple[tuple[str, tuple[tuple[str, str, float], ...], str, Severity, str], ...] = (
    ("Fast", PAGES, "2m", "page", "2 % within an hour, or 5 % within six,"),
    ("Steadily", TICKETS, "1h", "ticket", "10 % within three days"),
)
ENOUGH = 5  # requests in the long window: what fewer suffered, however great their share, wakes nobody


@dataclass(frozen=True)
class Alert:
    """A rule that tells a person. Texts may name labels as Prometheus's templates do."""

    name: str
    expression: str
    lasting: str  # how long it must be true first
    severity: Severity
    meaning: str
    budget: str  # when it rings, in words that its receiver can hold against it
    remedy: str


def alerts(objectives: Objectives) -> Sequence[Alert]:
    """All of them."""
    by_title = {each.title: each for group in signals(objectives).values() for each in group}
    of: Callable[[str], Signal] = by_title.__getitem__
    return [
        _down(objectives.job),
        *_burning(objectives),
        *_journal(of),
        *_processes(of),
        *_machine(of),
        *_versions(of),
        *_age(of),
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


def _burning(objectives: Objectives) -> list[Alert]:
    limit = f"{objectives.slow_seconds:g}"
    promises = (
        (
            "Errors",
            error_share,
            failed,
            objectives.availability,
            "Requests to {{ $labels.job }} are answered with 5xx: {{ $value | humanizePercentage }} of them.",
            "Look at the endpoint's own output and at what changed last: `demlopment traffic abort` takes a canary away.",
        ),
        (
            "Slow",
            slow_share,
            lambda window: slow(window, objectives),
            objectives.fast,
            f"{{{{ $value | humanizePercentage }}}} of the answers of {{{{ $labels.model_name }}}} took over {limit} s.",
            "Raise `endpoint.processes` where its processes are busy and cores to spare; scale a Python handler's workers.",
        ),
    )
    return [
        Alert(
            f"{name}{how}",
            " or ".join(_burn(share, count, 1 - promise, windows) for windows in choices),
            lasting,
            severity,
            meaning,
            f"{budget} of what {promise:.4g} allows in 30 days is gone.",
            remedy,
        )
        for name, share, count, promise, meaning, remedy in promises
        for how, choices, lasting, severity, budget in BURNS
    ]


def _burn(share: Callable[[str], str], count: Callable[[str], str], allowed: float, windows: tuple[str, str, float]) -> str:
    long, short, speed = windows
    limit = f"{speed * allowed:.6g}"
    return f"({share(long)} > {limit} and {share(short)} > {limit} and {count(long)} >= {ENOUGH})"


def _journal(of: Callable[[str], Signal]) -> list[Alert]:
    share = of("Journal of its limit").series
    return [
        Alert(
            "JournalRefuses",
            "increase(demlopment_journal_refused_total[5m]) > 0",
            "0m",
            "page",
            "{{ $labels.instance }} refuses requests, because its journal takes no record.",
            "At the first request that is refused so.",
            "Free some space on the disk of the home, or run `demlopment data compact`, which moves the journal into the lake.",
        ),
        Alert(
            "JournalMissesAnswers",
            "increase(demlopment_journal_unrecorded_total[5m]) > 0",
            "0m",
            "ticket",
            "{{ $labels.instance }} answers without a record, as `endpoint.journal_full` says; no evaluation sees these.",
            "At the first answer without a record.",
            "Free some space on the disk of the home, or run `demlopment data compact`.",
        ),
        Alert(
            "JournalFills",
            f"{of('Journal of its limit').beyond} or ({share} > 0.3 and predict_linear({share}[6h], 86400) > 1)",
            "30m",
            "ticket",
            "The journal of {{ $labels.instance }} has {{ $value | humanizePercentage }} of what it may, and grows.",
            "At 80 % of `endpoint.journal_max_mb`, or a day before it is reached where 30 % are.",
            "Run `demlopment data compact`, and let a timer run it; or raise `endpoint.journal_max_mb`.",
        ),
        Alert(
            "LakeBehind",
            of("How far the lake is behind").beyond,
            "15m",
            "ticket",
            "Answers and labels of {{ $labels.instance }} have waited {{ $value | humanizeDuration }} for the lake.",
            "Beyond `alerts.journal_hours`.",
            "Run `demlopment data compact`, and see why its timer does not: evaluations and retraining do not know these rows.",
        ),
    ]


def _processes(of: Callable[[str], Signal]) -> list[Alert]:
    return [
        Alert(
            "ProcessesMissing",
            "demlopment_serving_processes < demlopment_serving_processes_wanted",
            "2m",
            "ticket",
            "Only {{ $value }} serving processes run at {{ $labels.instance }}.",
            "Two minutes; one that died is replaced within ten seconds.",
            "Look at the endpoint's own output for why they end, and at the memory of the machine.",
        ),
        Alert(
            "ProcessesDie",
            of("Processes that died, over 15 minutes").beyond,
            "0m",
            "page",
            "Serving processes of {{ $labels.instance }} die again and again.",
            "Three deaths in 15 minutes; each is replaced by itself.",
            "Look at the endpoint's own output; unregister or scale to 0 the version that was changed last.",
        ),
        Alert(
            "WorkersDie",
            of("Workers of handlers that died, over 15 minutes").beyond,
            "0m",
            "ticket",
            "The Python handler of {{ $labels.model_name }} {{ $labels.model_version }} dies again and again.",
            "Three deaths in 15 minutes.",
            "Look at the endpoint's own output for its traceback, and at `endpoint.worker_memory_mb`.",
        ),
        Alert(
            "ProcessesBusy",
            of("Processor time of each serving process").beyond,
            "15m",
            "ticket",
            "Process {{ $labels.worker }} of {{ $labels.instance }} is busy {{ $value | humanizePercentage }} of the time.",
            "Over 90 % for 15 minutes: what comes on top waits.",
            "Raise `endpoint.processes` where there are cores to spare, or start an endpoint on another machine.",
        ),
        Alert(
            "ConnectionsFull",
            of("Connections of those that a process keeps").beyond,
            "5m",
            "ticket",
            "Process {{ $labels.worker }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} of its connections.",
            "Over 90 % for five minutes: further ones wait until one is idle.",
            "Raise `endpoint.max_connections`, or see which client keeps so many.",
        ),
        Alert(
            "HandlerQueueFills",
            of("Queue of a handler").beyond,
            "5m",
            "ticket",
            "The queue of {{ $labels.model_name }} {{ $labels.model_version }} is {{ $value | humanizePercentage }} full.",
            "Over 80 % for five minutes; when it is full, requests are refused.",
            "Scale its workers: `PUT /models/{model}/{version}?min_worker=`.",
        ),
    ]


def _machine(of: Callable[[str], Signal]) -> list[Alert]:
    disk = of("Disk of the home")
    return [
        Alert(
            "DiskFills",
            f"{disk.beyond} or ({disk.series} > 0.6 and predict_linear(DiskAvailable[6h], 86400) {OURS} < 0)",
            "30m",
            "ticket",
            "The disk that holds the home of {{ $labels.instance }} fills.",
            "At 90 %, or a day before it is full where 60 % are used.",
            "Free some space: `demlopment data gc`, `demlopment data compact`, old archives and reports.",
        ),
        Alert(
            "DiskFull",
            f"DiskAvailable {OURS} < 0.5",
            "1m",
            "page",
            "The disk that holds the home of {{ $labels.instance }} has {{ $value }} GiB left, and the journal needs room.",
            "Under half a GiB: about half a million answers.",
            "Free some space now: without room the endpoint refuses to answer.",
        ),
        Alert(
            "MemoryShort",
            of("Memory of the machine").beyond,
            "10m",
            "ticket",
            "The machine of {{ $labels.instance }} has used {{ $value | humanizePercentage }} of its memory.",
            "Over 95 % for ten minutes: the kernel may kill a serving process.",
            "See which process has it (the dashboard shows ours), and stop it or give the machine more.",
        ),
    ]


def _versions(of: Callable[[str], Signal]) -> list[Alert]:
    asked = "sum by (job, model_name, model_version) (increase(demlopment_{}[15m]))"
    lost = f"({asked.format('shadows_dropped_total')} + {asked.format('shadows_failed_total')}) > {ENOUGH}"
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
            f"More than {ENOUGH} in 15 minutes, for 15 minutes.",
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
