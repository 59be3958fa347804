"""Where the model cards of a home are: written when a candidate is judged, whatever the verdict, and read by a person."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demlopment.errors import ArchiveError
from demlopment.home import Home, replace
from demlopment.lifecycle.markdown import markdown

FORMAT = 1  # raised when a name in the JSON changes
SHOWN = 10  # of the versions that there are
LONGEST = 9  # digits of a number in a version


def write(home: Home, card: Mapping[str, Any]) -> tuple[Path, Path]:
    """The card as `<name>-<version>.json` and `.md`, each of which appears whole; one of the same version is replaced."""
    stem = f"{card['model']['name']}-{card['model']['version']}"
    said, shown = home.cards / f"{stem}.json", home.cards / f"{stem}.md"
    replace(said, (json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    replace(shown, markdown(card).encode())
    return said, shown


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
