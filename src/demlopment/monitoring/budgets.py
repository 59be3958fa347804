"""Alerts on promises: whether errors and slow answers use up what an objective allows. Knows no file.

They are judged by how fast they use up what is allowed in 30 days (Google's SRE workbook, chapter 5, "Alerting on SLOs"). A
page rings where 2 % of it is gone within an hour or 5 % within six, a ticket where 10 % is gone in three days, and each only
while a shorter window says that it goes on, so that an alarm ends soon after its cause.
"""

from collections.abc import Callable

from demlopment.monitoring.signals import error_share, failed, slow, slow_share
from demlopment.monitoring.watched import Alert, Objectives, Severity

# long window, short window, how many times faster than 30 days would allow
PAGES = (("1h", "5m", 14.4), ("6h", "30m", 6.0))
TICKETS = (("3d", "6h", 1.0),)
# how the alert's name ends, its windows, how long it must last, severity, budget
BURNS: tuple[tuple[str, tuple[tuple[str, str, float], ...], str, Severity, str], ...] = (
    ("Fast", PAGES, "2m", "page", "2 % within an hour, or 5 % within six,"),
    ("Steadily", TICKETS, "1h", "ticket", "10 % within three days"),
)
ENOUGH = 5  # requests in the long window: what fewer suffered, however great their share, wakes nobody


def burning(objectives: Objectives) -> list[Alert]:
    """Alerts on what fails and on what is slow."""
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
