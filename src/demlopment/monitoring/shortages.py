"""Alerts on what runs out: journal, processes, machine. Knows signals by their titles; knows no file."""

from collections.abc import Callable

from demlopment.monitoring.signals import OURS
from demlopment.monitoring.watched import Alert, Signal


def journal(of: Callable[[str], Signal]) -> list[Alert]:
    """What becomes of answers that are to be kept."""
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


def processes(of: Callable[[str], Signal]) -> list[Alert]:
    """Whether somebody is there to answer, and has time."""
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


def machine(of: Callable[[str], Signal]) -> list[Alert]:
    """What others on the machine use up, too."""
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
