"""Which recipes a search draws from: a table of settings under `training`, with the range of each. Draws nothing itself."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from demlopment.errors import DataError
from demlopment.settings import PLACES, Training

Value = bool | int | float | str
FIXED = {
    "profile",
    "epochs",
    "demo_epochs",
    "seed",
    "threads",
    "device",
    "warm_start",
    *PLACES,
}  # trials are compared at equal cost, and seeds are no recipes
EXAMPLE = "learning_rate = { low = 0.001, high = 0.02, log = true }"


@dataclass(frozen=True)
class Range:
    """Every number from `low` to `high`, both included: whole ones if both are whole; evenly, or evenly in the logarithm."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' in the logarithm' if self.log else ''}"

    def table(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "log": self.log}

    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high


@dataclass(frozen=True)
class Choice:
    """One of a few values, without an order."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"

    def table(self) -> dict[str, Any]:
        return {"choices": list(self.values)}

    def ends(self) -> tuple[Value, ...]:
        return self.values


Space = Mapping[str, Range | Choice]
SPACE: Space = {  # about the defaults, as far as a fit was ever seen to be better or worse by it
    "learning_rate": Range(5e-4, 2e-2, log=True),
    "label_smoothing": Range(0.0, 0.2),
    "batch_size": Range(16, 128, log=True),
}


def read(path: Path) -> Space:
    """The space that a TOML file declares, a line a setting. Raises DataError naming the line that cannot be searched."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"The search space {path} cannot be read: {error}.", f"Write lines like `{EXAMPLE}`.") from error
    try:
        return parsed(tables)
    except DataError as error:
        raise DataError(f"{path}: {error.problem}", error.remedy) from error


def parsed(tables: Mapping[str, Any]) -> Space:
    """The space of a table: `{"label_smoothing": {"low": 0.0, "high": 0.2}, "batch_size": {"choices": [16, 32]}}`.

    Raises DataError for a name that is no setting under `training` or is not searched, and for a range that has no values.
    """
    if not tables:
        raise DataError("The search space is empty.", f"Write lines like `{EXAMPLE}`.")
    return {name: _dimension(name, table) for name, table in tables.items()}


def recipe(base: Training, parameters: Mapping[str, Any]) -> Training:
    """`base` with those settings in place of its own. Raises DataError for one that a recipe does not take."""
    try:
        return Training.model_validate(base.model_dump() | dict(parameters))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise DataError(
            f"training.{name} cannot be {first['input']!r}: {first['msg']}.", "Search only what the setting takes."
        ) from error


def _dimension(name: str, table: Any) -> Range | Choice:
    searched = sorted(set(Training.model_fields) - FIXED)
    if name not in searched:
        raise DataError(f"A search does not vary training.{name}.", f"It varies {', '.join(searched)}.")
    found = _written(table, lambda value: getattr(recipe(Training(), {name: value}), name))
    if found is None:
        raise DataError(
            f"{name} has no range: {table!r}.", f"Write a line like `{EXAMPLE}` or `{name} = {{ choices = [1, 2] }}`."
        )
    return found


def _written(table: Any, taken: Callable[[Value], Any]) -> Range | Choice | None:
    """What a table says, with each value as the setting takes it: 64.0 rows are 64, and never 63.7."""
    match table:
        case {"choices": [_, _, *_] as values, **rest} if not rest and all(isinstance(each, Value) for each in values):
            choices = tuple(map(taken, values))
            return Choice(choices) if len(set(choices)) == len(choices) else None
        case {"low": int() | float() as low, "high": int() | float() as high, **rest} if low < high:
            log = rest.pop("log", False)
            if not rest and isinstance(log, bool) and (low > 0 or not log):
                return Range(taken(low), taken(high), log)
    return None
