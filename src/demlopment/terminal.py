"""What a person sees while a turn runs: a bar for each step, and the line it leaves. Decides nothing."""

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn


class Terminal:
    """A narrator for people: a live bar on a terminal, plain lines where the output is a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = bars(
            console,
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(compact=True),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "Terminal":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, title: str) -> None:
        self._task = self._bars.add_task(escape(title), total=None)

    def progress(self, done: int, total: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def end(self, title: str, sentence: str, seconds: float) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        self.console.print(f"[bold]{escape(title)}[/] [dim]({seconds:.1f} s)[/]", highlight=False)
        # A pipe has no width to wrap to; a terminal wraps below the indentation.
        line = Padding(escape(sentence), (0, 0, 0, 2)) if self.console.is_terminal else f"  {escape(sentence)}"
        self.console.print(line, highlight=False, soft_wrap=not self.console.is_terminal)


def bars(console: Console, *columns: ProgressColumn) -> Progress:
    """Live bars that leave nothing behind, and are not drawn where the output is a file or a pipe."""
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
