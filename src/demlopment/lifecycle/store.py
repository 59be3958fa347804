"""The archives of ours in the model store, with their cards. Reads no network."""

from collections.abc import Iterator
from pathlib import Path

from demlopment import archive
from demlopment.archive import Card
from demlopment.errors import ArchiveError
from demlopment.home import Home


def archives(home: Home) -> Iterator[tuple[Path, Card]]:
    """Every archive of ours in the model store, with its card."""
    for path in sorted(home.models.glob("*.mar")):
        try:
            yield path, archive.read(path).card
        except ArchiveError:  # somebody else's, or broken: it says nothing of where it came from
            continue


def otherwise(home: Home, card: Card) -> frozenset[str]:
    """The versions of a model that read other columns than this one, as far as the model store has their archives."""
    ours = (each for _, each in archives(home) if each.name == card.name)
    return frozenset(each.version for each in ours if each.columns != card.columns)
