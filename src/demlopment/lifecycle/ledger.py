"""The turn that is running, on disk: what it is about, and which step comes next. Replaced whole; decides nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from demlopment import home as homes
from demlopment.errors import HomeError
from demlopment.home import Home
from demlopment.records import Decision

# In their order; a turn that finds no champion goes from any of them to "clear", and one back to the predecessor has its own.
Step = Literal["decide", "snapshot", "fit", "load", "shadow", "canary", "split", "crown", "clear", "roll back"]
FORMAT = 1  # raised when an older release could not read it


@dataclass(frozen=True)
class Turn:
    """One turn between two steps."""

    name: str  # also of its snapshot, and the salt of its traffic plans
    begun: float  # seconds since 1970
    champion: str  # version that it began with
    step: Step  # that comes next
    decided: Mapping[str, Any]  # the verdict that began it, as JSON
    version: str = ""  # of the candidate, or of the predecessor that comes back
    attempts: int = 0  # at this step, that did not end
    error: str = ""  # what the last of them said
    resumed: int = 0  # times that the canary was resumed after a restart
    promising: bool = False  # whether the shadow was certainly better
    ending: Decision = "keep"  # of the verdict that ends it
    because: str = ""  # why it ends so


def read(home: Home) -> Turn | None:
    """The turn that is running, None where none is. Raises HomeError for a file that no turn wrote."""
    try:
        content = home.turn.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(content)
        if found.pop("format") != FORMAT:
            raise ValueError("another release wrote it")
        turn = Turn(**found)
        if turn.step not in get_args(Step):
            raise ValueError(f"it knows no step {turn.step!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HomeError(
            f"{home.turn} is no record of a turn: {error}.", "Remove it: the turn is then forgotten, and the champion stays."
        ) from error
    return turn


def write(home: Home, turn: Turn) -> Turn:
    """Put the turn in place of what stood there."""
    content = {"format": FORMAT} | asdict(turn)
    homes.replace(home.turn, (json.dumps(content, indent=2) + "\n").encode())
    return turn


def close(home: Home) -> None:
    """The turn is over."""
    home.turn.unlink(missing_ok=True)
