"""Bring rows into the lake and pin what a turn learns from. Composes the data room, and measures as the monitors do."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from demlopment.data import Lake, Source, expectations, opened, refuse_leaks, split, spoiled
from demlopment.data.expectations import Reference, compared
from demlopment.data.queue import waiting
from demlopment.data.sources.spoiled import COUNT as PLANTED_ROWS
from demlopment.lifecycle.observe import Traffic
from demlopment.lifecycle.provenance import commit
from demlopment.lifecycle.returns import pictured
from demlopment.lifecycle.story import Ingested
from demlopment.monitoring.pictures import picture_statistics
from demlopment.records import Snapshot, Split
from demlopment.settings import Data

CHUNK = 10_000  # pictures that are measured at once


@dataclass(frozen=True, eq=False)
class Collected:
    """What a turn learns from, and how it came in."""

    ingested: Ingested
    snapshot: Snapshot
    classes: tuple[str, ...]  # what the numbers in the split stand for
    split: Split
    unexpected: tuple[str, ...] = ()  # what is not as the settings expect it, in words
    waiting: int = 0  # labels that are doubted or contradicted, and that nobody has reviewed
    reference: str = ""  # the snapshot that it was compared with, "" for none


def collect(lake: Lake, settings: Data) -> Collected:
    """Ingest the source with a few bad rows mixed in, pin the source's good rows, and split them."""
    rows = opened(settings.source)
    ingested = replace(ingest(lake, spoiled(rows)), planted=PLANTED_ROWS)
    # Equal files under one salt are one snapshot, however often they are ingested, until somebody has reviewed labels.
    reviewed = lake.reviews.last()
    name = f"{rows.name}-{rows.sha256[:8]}-{settings.salt}" + (f"-reviewed-{reviewed}" if reviewed else "")
    snapshot = lake.pin(name, settings.salt, sources={rows.name}, commit=commit())
    return Collected(ingested, snapshot, lake.classes, *divided(lake, snapshot, settings), len(waiting(lake)))


def collect_returned(lake: Lake, settings: Data, traffic: Traffic, name: str, reference: str = "") -> Collected:
    """Ingest the production pictures whose label came back, and pin under `name` everything the lake now holds.

    What is new is compared with the snapshot called `reference`. A prediction of which only the digest was kept teaches
    nothing, whatever its label.
    """
    rows = pictured(traffic.predictions, traffic.truth)
    if not rows.rows:
        return everything(lake, settings, name, reference)
    ingested = ingest(lake, rows)
    return replace(everything(lake, settings, name, reference), ingested=ingested)


def everything(lake: Lake, settings: Data, name: str, reference: str = "") -> Collected:
    """Pin and split all that the lake holds; nothing comes in. What is new is compared with the snapshot `reference`."""
    snapshot = lake.pin(name, settings.salt, commit=commit())
    return pinned(lake, settings, snapshot, reference if reference in lake.snapshots() else "")


def pinned(lake: Lake, settings: Data, snapshot: Snapshot, reference: str = "") -> Collected:
    """Split what was pinned already. Raises as `divided`."""
    parts, unexpected = divided(lake, snapshot, settings, reference)
    return Collected(Ingested("", "", 0, 0, 0, {}), snapshot, lake.classes, parts, unexpected, len(waiting(lake)), reference)


def divided(lake: Lake, snapshot: Snapshot, settings: Data, reference: str = "") -> tuple[Split, tuple[str, ...]]:
    """The snapshot's rows in four parts, and what of them is not as the settings expect it.

    Raises DataError naming the rows if anything leaks between the parts.
    """
    examples = lake.load(snapshot)
    found = split(examples, snapshot.salt)
    refuse_leaks(found, snapshot.name)
    used = sum(map(len, (found.train, found.validation, found.test, found.stream)))
    judged = expectations(examples, used, len(lake.classes), settings)
    if reference:
        rows = lake.rows(lake.rest(reference), ("key", "label", "source"))
        then = Reference(reference, dict(rows.select("key", "label").iter_rows()))
        judged += compared(examples, then, lake.classes, _measured, settings)
    return found, tuple(str(each) for each in judged if not each.met)


def _measured(images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float64]]:
    """The monitors' statistics of pictures (n, 28, 28), a part at a time: each picture is 25 kB while it is measured."""
    parts = [picture_statistics(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def ingest(lake: Lake, rows: Source) -> Ingested:
    """Add rows to the lake and say what became of them."""
    added = lake.add(rows, commit=commit())
    return Ingested(rows.name, rows.sha256, added.rows, added.added, added.known, added.quarantined, added.rejected)
