"""The files that no table needs any more: found, and deleted. Knows which versions are pinned, and no row."""

from collections.abc import Mapping
from pathlib import Path

from demlopment.data import answers, asked, corrections, doubted, pins, quarantine, ready, remains, reviews
from demlopment.data.delta import DeltaStore
from demlopment.data.lake import Lake
from demlopment.data.ready import Ready

# A writer's files are of no version until it commits. Two million pictures take minutes, a day is beyond any source.
ABANDONED_HOURS = 24
TABLES = (
    *(pins.EXAMPLES, quarantine.QUARANTINE, corrections.CORRECTIONS, pins.PINS, remains.REMAINS),
    *(reviews.REVIEWS, reviews.REVIEWED, doubted.DOUBTED, asked.ASKED),
    *(answers.PREDICTIONS, answers.FEEDBACK, answers.GAPS),
)


def sweep(
    root: Path | str, *, copies: Path | None = None, abandoned_hours: int = ABANDONED_HOURS, dry_run: bool = False
) -> Mapping[str, tuple[str, ...]]:
    """Delete, table by table, the files that neither the newest nor a pinned version has; only name them if `dry_run`.

    What a killed writer left goes when it is `abandoned_hours` old: before, its writer may be alive. The copies that
    loading keeps go too: each snapshot of a turn leaves one, and the next loading makes it again.
    """
    needed, store = Lake(root).needed(), DeltaStore(root)
    found = {
        table: store.prune(
            table, keep=needed if table == pins.EXAMPLES else (), abandoned_hours=abandoned_hours, dry_run=dry_run
        )
        for table in TABLES
    }
    found[ready.FOLDER] = Ready(root, copies).clear(dry_run=dry_run)
    return {table: files for table, files in found.items() if files}
