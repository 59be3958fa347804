"""The files that no table needs any more: found, and deleted. Knows which versions are pinned, and no row."""

from collections.abc import Mapping
from pathlib import Path

from demlopment.data import answers, lake
from demlopment.data.lake import Lake
from demlopment.data.tables import DeltaStore

# A writer's files are of no version until it commits. Two million pictures take minutes, a day is beyond any source.
ABANDONED_HOURS = 24
TABLES = (lake.EXAMPLES, lake.QUARANTINE, lake.PINS, lake.REMAINS, answers.PREDICTIONS, answers.FEEDBACK, answers.GAPS)


def sweep(root: Path | str, *, abandoned_hours: int = ABANDONED_HOURS, dry_run: bool = False) -> Mapping[str, tuple[str, ...]]:
    """Delete, table by table, the files that neither the newest nor a pinned version has; only name them if `dry_run`.

    What a killed writer left goes when it is `abandoned_hours` old: before, its writer may be alive.
    """
    pins = Lake(root)
    rebased = pins.rebased()
    pinned = {snapshot.version for name, snapshot in pins.snapshots().items() if name not in rebased}
    store = DeltaStore(root)
    found = {
        table: store.prune(
            table, keep=pinned if table == lake.EXAMPLES else (), abandoned_hours=abandoned_hours, dry_run=dry_run
        )
        for table in TABLES
    }
    return {table: files for table, files in found.items() if files}
