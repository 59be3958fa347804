"""Where the model cards of a home are: written when a candidate is judged, whatever the verdict, and read by a person.

They name nobody who was forgotten since, and say that rows were.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from demlopment.errors import ArchiveError
from demlopment.home import Home, replace
from demlopment.lifecycle.markdown import markdown

FORMAT = 1  # raised when a name in the JSON changes
SHOWN = 10  # of the versions that there are
KEY = 12  # letters of a row's key, as a card shows them
LONGEST = 9  # digits of a number in a version


def write(home: Home, card: Mapping[str, Any]) -> tuple[Path, Path]:
    """The card as `<name>-<version>.json` and `.md`, each of which appears whole; one of the same version is replaced."""
    return _write(home.cards, card)


def read(home: Home, version: str) -> dict[str, Any]:
    """The card of a version, from its JSON. Raises ArchiveError, with the versions there are, if none can be read."""
    known = _versions(home.cards, "json")
    if version not in known:
        raise _absent(home, version, [*known])
    try:
        card = json.loads(known[version].read_bytes())
        whole = isinstance(card, dict) and card["format"] == FORMAT
    except (ValueError, KeyError):
        whole = False
    if not whole:
        raise ArchiveError(
            f"{known[version]} is not a model card of this release.",
            "Take its copy from the artefacts of the run, or use the release that wrote it.",
        )
    found: dict[str, Any] = card
    return found


def forget(home: Home, column: Literal["source", "writer", "key"], value: str, gone: Mapping[str, int]) -> int:
    """Take a source, a writer or a row out of the cards of models that learned from a snapshot which lost rows, and say so.

    `gone` is how many rows each such snapshot has lost by now. The copies among the artefacts of this home are rewritten
    too. How many cards were; one that nobody can read is left as it is.
    """
    count = 0
    for version in _versions(home.cards, "json"):
        try:
            card = read(home, version)
        except ArchiveError:
            continue
        if card["data"]["snapshot"] not in gone:
            continue
        less = without(card, column, value, gone[card["data"]["snapshot"]])
        copies = [path.parent for path in home.artifacts.rglob(f"{_stem(card)}.json")]
        for folder in (*copies, home.cards) if less != card else copies:
            _write(folder, less)
        count += less != card
    return count


def without(card: Mapping[str, Any], column: Literal["source", "writer", "key"], value: str, gone: int) -> dict[str, Any]:
    """The card with nothing measured of a source or a writer alone, and its name nowhere; `gone` rows were forgotten."""
    named = value[:KEY] if column == "key" else f"{column} {value}"
    pattern = re.compile(rf"{re.escape(named)}\w*(?![\w-])" if column == "key" else rf"{re.escape(named)}(?![\w-]|[.:/]\w)")
    said = "a forgotten row" if column == "key" else f"a forgotten {column}"

    def reworded(each: Any) -> Any:
        if isinstance(each, str):
            return pattern.sub(said, each)
        if isinstance(each, Mapping):
            return {name: reworded(inner) for name, inner in each.items()}
        return list(map(reworded, each)) if isinstance(each, list) else each

    results = [each for each in card["results"] if not (column != "key" and pattern.match(each["name"]))]
    sources = [each for each in card["data"]["sources"] if not (column == "source" and each["source"] == value)]
    data = {**card["data"], "sources": sources, "forgotten": gone}
    less: dict[str, Any] = reworded({**card, "results": results, "data": data})
    return less


def _stem(card: Mapping[str, Any]) -> str:
    return f"{card['model']['name']}-{card['model']['version']}"


def _write(folder: Path, card: Mapping[str, Any]) -> tuple[Path, Path]:
    said, shown = folder / f"{_stem(card)}.json", folder / f"{_stem(card)}.md"
    replace(said, (json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    replace(shown, markdown(card).encode())
    return said, shown


def _versions(folder: Path, ending: str) -> dict[str, Path]:
    """Each with its file, the oldest first: 10.0 comes after 9.0."""
    found = {path.stem.rpartition("-")[2]: path for path in folder.glob(f"*-*.{ending}")}
    return dict(sorted(found.items(), key=lambda each: [part.zfill(LONGEST) for part in each[0].split(".")]))


def _absent(home: Home, version: str, known: list[str]) -> ArchiveError:
    archive = _versions(home.models, "mar").get(version)
    if archive is not None:
        return ArchiveError(
            f"{archive} has no model card in {home.cards}: it was judged elsewhere, or by a release that wrote none.",
            f"See how it does with `demlopment models test {version}`.",
        )
    more = f" and {len(known) - SHOWN} older ones" if len(known) > SHOWN else ""
    others = (
        f"Those that there are: {', '.join(known[-SHOWN:])}{more}." if known else "There is none yet: run `demlopment train`."
    )
    return ArchiveError(f"{home.cards} has no model card of the version {version!r}.", others)
