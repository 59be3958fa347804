"""How far a long reading has come: a bar on a terminal, elsewhere a line now and then. Reads nothing itself."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn

from demlopment.terminal import bars

SILENT_SECONDS = 10.0  # between two lines in a file or a pipe: a log of an hour has 360 of them, and one of a minute 6
BAR = 16  # characters
BESIDE = BAR + 6  # what stands beside title and words: spinner, bar, the spaces between them, a colon
LEAST = 8  # characters of a title that are shown
Unit = Literal["rows", "MB", "epochs", "days"]
SIZES: dict[Unit, int] = {"rows": 1, "MB": 1_000_000, "epochs": 1, "days": 1}


class Progress:
    """One thing after the other, each under its title. Lines go where the console does."""

    def __init__(self, console: Console, unit: Unit = "rows", clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._unit, self._clock = console, unit, clock
        self._bars = bars(console, SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=BAR))
        self._task = self._bars.add_task("", visible=False)
        self._title, self._done = "", 0
        self._begun = (0.0, 0)  # when the present thing was first heard of, and how much of it was there
        self._spoke = clock()

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def counted(self, title: str, total: int | None) -> Callable[[int], None]:
        """Begin with nothing, and tell what is given how much is there."""
        self.heard(title, 0, total)
        return lambda done: self.heard(title, done, total)

    def heard(self, title: str, done: int, total: int | None) -> None:
        """So much of it is there, in rows, bytes or epochs, of so much (None: nobody knows)."""
        now = self._clock()
        if title != self._title or done < self._done:  # another thing, or the same one from its start again
            self._begun = (now, done)
        self._title, self._done = title, done
        seconds, since = now - self._begun[0], done - self._begun[1]
        said = described(done, total, since / seconds if seconds > 0 else 0, self._unit)
        words = f"{title}: {said}"
        room = self._console.width - BESIDE - len(said)  # what is said of a long name must not be cut off at the edge
        shown = f"{_shortened(title, room)}: {said}"
        self._bars.update(self._task, description=escape(shown), completed=done, total=total, visible=True)
        if not self._console.is_terminal and now - self._spoke >= SILENT_SECONDS:
            self._spoke = now
            self._console.print(escape(words), highlight=False, soft_wrap=True)


def _shortened(title: str, room: int) -> str:
    """A title with its middle left out where there is no room for it: a file's ending tells as much as its beginning."""
    if len(title) <= max(room, LEAST):
        return title
    kept = max(room, LEAST) - 1
    return f"{title[: kept - kept // 2]}…{title[len(title) - kept // 2 :]}"


def described(done: int, total: int | None, rate: float, unit: Unit = "rows") -> str:
    """How far it has come in words; `done`, `total` and `rate` (a second, 0 for not known yet) in rows, bytes or epochs.

    >>> described(15_000, 60_000, 3_000), described(15_000, None, 3_000)
    ('15,000 of 60,000 rows, 3,000 a second, 0:00:15 left', '15,000 rows, 3,000 a second')
    >>> described(2_500_000, 10_000_000, 0, "MB")
    '2 of 10 MB'
    """
    size = SIZES[unit]
    words = [f"{done // size:,}{'' if total is None else f' of {total // size:,}'} {unit}"]
    if rate > 0:
        words.append(f"{rate / size:,.{0 if unit == 'rows' else 1}f} a second")
        if total is not None:
            words.append(f"{timedelta(seconds=round(max(0, total - done) / rate))} left")
    return ", ".join(words)
