"""Test a model of the store on rows that it never saw. Composes the lake, the model store and the tests."""

from demlopment import archive
from demlopment.data import Lake, split
from demlopment.errors import ArchiveError
from demlopment.home import Home
from demlopment.lifecycle.schooling import every_check
from demlopment.lifecycle.workshop import MODEL
from demlopment.records import Check
from demlopment.settings import Settings


def examined(home: Home, settings: Settings, version: str) -> tuple[Check, ...]:
    """Every check of a version, on the test part of the snapshot that it learned from, and of what it was taught.

    Raises ArchiveError if there is no such version or its card names no snapshot, DataError as Lake.load.
    """
    model = archive.read(archive.named(home.models, MODEL, version))
    lake, name = Lake.of(home, settings.data), str(model.card.lineage.get("snapshot", ""))
    if not name:
        raise ArchiveError(f"The card of {model.card.title} names no snapshot.", "Test a model that was trained here.")
    snapshot = lake.named(name)
    parts, rules = split(lake.load(snapshot), snapshot.salt), settings.evaluation
    return every_check(model, parts.train, parts, lake.classes, rules, settings.gate.minimum_accuracy)
