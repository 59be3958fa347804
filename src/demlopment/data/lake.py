"""The lake: examples and pins as versioned tables, and the quarantine. Knows no model, and of tables only their port.

Every row has a name made of what it is, so adding is idempotent: a run that was killed anywhere is simply repeated.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl

from demlopment.data import erasure, transform
from demlopment.data.asked import Asked
from demlopment.data.contract import table
from demlopment.data.corrections import NOTHING_SAID, Corrections
from demlopment.data.delta import DeltaStore
from demlopment.data.doubted import Doubted
from demlopment.data.erasure import Erasure, now
from demlopment.data.intake import Added, Intake
from demlopment.data.known import HALVES, Known
from demlopment.data.pins import EXAMPLES, Pins, counted, digest, first_of, of_sources, parts
from demlopment.data.quarantine import Quarantine, Quarantined
from demlopment.data.ready import Ready
from demlopment.data.remains import Remains, left
from demlopment.data.replay import Replay
from demlopment.data.reviews import Reviews
from demlopment.data.runs import RUN, Arrival, Run, arrivals, begun, noted
from demlopment.data.sides import HAND, SHOWING, ambiguous, refuse_moved
from demlopment.data.sources import FEEDBACK, Source
from demlopment.data.tables import ATTEMPTS, TableStore
from demlopment.data.withheld import Withheld
from demlopment.errors import DataError, NotReadyError
from demlopment.home import Home
from demlopment.records import Examples, Snapshot
from demlopment.row import Column
from demlopment.seen import prepared_with
from demlopment.settings import Data, named

DIGITS = tuple("0123456789")
LISTED = ("key", "label", "source", "writer")  # of rows to be pinned
SHOWN = 10  # of many labels
LINES = 50_000  # rows of whose keys the index is made at once: 10 MB


class Lake:
    """The tables below one address, a folder or a URI. Nothing is created before the first write."""

    def __init__(
        self,
        root: Path | str,
        store: Callable[[Path | str], TableStore] = DeltaStore,
        *,
        classes: Sequence[str] = DIGITS,
        columns: Sequence[Column] = (),  # of the table whose rows it keeps; none: it keeps pictures
        copies: Path | None = None,  # where copies of what a lake in an object store gave are kept
        now: Callable[[], float] = time.time,
    ) -> None:
        self._root, self._now = root, now
        self._store = store(root)
        self._ready, self._remains, self.reviews = Ready(root, copies), Remains(self._store), Reviews(self._store)
        self._pins = Pins(self._store)
        self.bad, self.doubted, self.asked = Quarantine(self._store), Doubted(self._store), Asked(self._store)
        remarks = (self.reviews, self.doubted, self.asked)
        self._erasure = Erasure(self._store, self._pins, self._remains, self._ready, self.bad, remarks)
        self.classes, self.columns = tuple(classes), table(columns) if columns else ()

    @classmethod
    def of(cls, home: Home, rules: Data) -> "Lake":
        """The lake of a home, wherever it is, with the classes of the settings."""
        return cls(home.lake, classes=named(rules.classes), copies=home.root)

    def add(self, source: Source, heard: Callable[[int], None] = lambda _: None, *, commit: str = "unknown") -> Added:
        """Good rows into `examples`, bad ones with their reasons into `quarantine`, what is there already nowhere.

        One commit for the good rows of a source, a batch of them in memory at a time. Adding the same rows again
        changes nothing. A row with the pixels of another and a different label is bad. `heard` is told how many rows
        have been read; `commit` is that of the code, which the run that the rows name says.
        Raises DataError where the source is broken, and then adds no row of it, good or bad.
        """
        run = begun(self._now(), commit, source.name, source.sha256)
        with closing(Withheld()) as withheld:
            added = self._take(source, withheld.add, run, {}, heard, withheld.clear)
            # After the good rows: these may turn out to be too many for the disk, or their source to be broken.
            gone = [self.bad.reject(bad) for bad in withheld]
        return added.without(pl.concat(gone)) if gone else added

    def replay(
        self, said: Corrections = NOTHING_SAID, heard: Callable[[int], None] = lambda _: None, *, commit: str = "unknown"
    ) -> Added:
        """Judge the bad rows again, with the labels that were said to be true: what is good now becomes an example.

        It is the row that it would have been at once, and leaves quarantine; the others have the reasons they have now.
        `known` counts those that the lake had by then, which leave too. Cut off anywhere it is simply repeated.
        Raises DataError, before anything changes, if a correction is of a row that is not in quarantine.
        """
        again = Replay(self.bad, said)
        run = begun(self._now(), commit, again.name, again.sha256)
        added = self._take(again, again.reject, run, again.note, heard)
        again.leave()
        return added

    def pin(self, name: str, salt: str, sources: Set[str] | None = None, *, commit: str = "unknown") -> Snapshot:
        """Give the examples as they are now (of some sources, or of all) a name under which they can always be loaded.

        Pinning a name again is fine while it means the same rows and salt, and gives the first pin.
        Raises DataError if there are no such rows or they have other classes, if the name is taken by others, or if rows
        that a snapshot of this salt has would change side, because who wrote them became known since.
        """
        version = self._store.version(EXAMPLES)
        if version is None:
            raise DataError(f"The lake {self._root} holds no examples.", "Ingest something first.")
        reviewed, unclear = self.reviews.last(), list[pl.Series]()
        found = counted(self._parts(version, sources, reviewed, unclear))
        if not found.rows:
            raise DataError(f"The lake {self._root} holds no examples of {sorted(sources or ())}.", "Ingest them first.")
        self._refuse_strange(found.labels, f"Of the rows to be pinned in {self._root} some have")
        self._refuse_moved(name, salt, version, pl.concat(unclear))
        preparation = prepared_with(rows=bool(self.columns))
        snapshot = Snapshot(name, version, found.digest, found.rows, salt, commit, preparation)
        self.reviews.note(snapshot, reviewed)
        self._pins.add(snapshot, sources)
        pinned = self.snapshots()[name]
        if (pinned.digest, pinned.salt) != (snapshot.digest, salt):
            raise DataError(
                f"The snapshot {name!r} is already pinned with {pinned.rows} other rows or another salt "
                f"(digest {pinned.digest[:12]}, now {snapshot.digest[:12]}).",
                "Pin under another name.",
            )
        return pinned

    def snapshots(self) -> dict[str, Snapshot]:
        """Every pinned snapshot by its name. Raises DataError if the rows that they pin are of another release."""
        pinned = {snapshot.name: snapshot for snapshot, _ in self._pins.every()}
        self._store.version(EXAMPLES)
        return pinned

    def named(self, name: str) -> Snapshot:
        """The pinned snapshot of that name. Raises DataError, with the names there are, if there is none."""
        pinned = {snapshot.name: snapshot for snapshot, _ in self._pins.every()}
        if name not in pinned:
            known = f"Those that it has: {', '.join(pinned)}." if pinned else "It has none yet: run `demlopment train`."
            missing = f"The lake {self._root} has no snapshot {name!r}." if name else "No snapshot is named."
            raise DataError(missing, known)
        return pinned[name]

    def load(self, snapshot: Snapshot) -> Examples:
        """The snapshot's rows, one for each picture, sorted by key; the digest is checked.

        What it has given once is kept beside the tables or in the home (data/ready.py), and found there the next time.
        Raises as `rows`.
        """
        # Somebody else who forgets rows of it cannot remove our copy.
        whole = self._remains.of(snapshot.name) is None
        pins = [(pinned, sources) for pinned, sources in self._pins.every() if pinned == snapshot and whole]
        meaning = (snapshot, [sources and sorted(sources) for _, sources in pins], self.classes)
        kept = self._ready.find(*meaning) if pins else None
        if kept is None:
            frame = self.entries(snapshot, ("key", "label", "source", "writer", "image"))
            self._refuse_strange(frame["label"].unique(), f"The snapshot {snapshot.name!r} has")
            kept = transform.examples(frame, self.classes, _order(frame))
            if pins:  # the rest of a snapshot is no pin, and is not kept
                self._ready.keep(kept, *meaning)
        return kept

    def rows(self, snapshot: Snapshot, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """As `load`, as a table with all columns or with some, which have "key", "label" and "source" among them.

        A picture that also came back from production counts as "feedback": it is no longer unseen. Raises as `entries`.
        """
        frame = self.entries(snapshot, columns)
        return frame[_order(frame)]

    def entries(self, snapshot: Snapshot, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """As `rows`, in no order, and a picture that came from two sources stands there twice.

        Raises DataError if the snapshot was never pinned here, or if its rows are no longer what they were.
        """
        entries = self._remains.of(snapshot.name)
        found = [(pinned, sources) for pinned, sources in self._pins.every() if pinned.name == snapshot.name]
        if not found or (found[0][0] != snapshot and entries is None):
            raise DataError(f"The lake {self._root} has no pin {snapshot.name!r} like the given one.", "Pin it first.")
        pinned, sources = found[0]
        frame = self._entries(pinned, sources, entries, columns)
        if digest(frame) != snapshot.digest:
            problem = f"The rows of the snapshot {snapshot.name!r} in {self._root} are not those that were pinned"
            if entries is not None and snapshot == pinned:
                lost = pinned.rows - frame["key"].n_unique()
                raise DataError(f"{problem}: {lost} were forgotten.", "Pin anew, or ask for the rest of it by name.")
            raise DataError(f"{problem}.", "The table was altered: restore it from a copy, or ingest again in another home.")
        return frame

    def rest(self, name: str) -> Snapshot:
        """What is left of a snapshot, under a digest of its own; the snapshot itself where nothing of it was forgotten."""
        pinned, entries = self.named(name), self._remains.of(name)
        if entries is None:
            return pinned
        frame = self._entries(pinned, None, entries, ("key", "label", "source"))
        return replace(pinned, digest=digest(frame), rows=frame["key"].n_unique())

    def needed(self) -> set[int]:
        """The versions of `examples` that snapshots still need: of the others the newest has what is left of them."""
        rebased = self._remains.names()
        return {snapshot.version for name, snapshot in self.snapshots().items() if name not in rebased}

    def forget(self, column: erasure.Column, value: str) -> int:
        """Remove the rows that are `meant` for good (data/erasure.py); how many the newest version had."""
        return self._erasure.forget(column, value)

    def meant(self, column: erasure.Column, value: str) -> pl.Expr:
        """What is true of the rows to forget."""
        return self._erasure.meant(column, value)

    def now(self, where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
        """Those rows of the newest version `where` it is true, in no order; none where nothing was ever added."""
        return now(self._store, where, columns)

    def arrivals(self, rows: pl.DataFrame) -> tuple[Arrival, ...]:
        """When rows came in, and by which runs, which their column "run" names."""
        return arrivals(rows, self._store.history(EXAMPLES))

    def quarantine(self) -> tuple[Quarantined, ...]:
        """Every bad row, by source and position."""
        return self.bad.rows()

    def _refuse_strange(self, labels: Collection[str], problem: str) -> None:
        """Raise DataError for a label that is none of our classes: the classes were others when its row came in."""
        strange = sorted(set(labels) - set(self.classes))
        if strange:
            raise DataError(
                f"{problem} the labels {', '.join(strange[:SHOWN])}, and data.classes is {','.join(self.classes)}.",
                "Add them to data.classes, or pin only sources without them.",
            )

    def _parts(self, version: int, sources: Set[str] | None, reviewed: int, unclear: list[pl.Series]) -> Iterator[pl.DataFrame]:
        """The rows to be pinned, with the labels that follow from the reviews: a part at a time, by their keys.

        `unclear` is given those keys among them whose rows do not agree on who wrote them.
        """
        rows = self._store.read(EXAMPLES, version=version, columns=(pl.len(),)).item()
        for part in parts(rows):
            whole = self._store.read(EXAMPLES, version=version, columns=LISTED, where=part)
            frame = self.reviews.corrected(of_sources(whole, sources), reviewed)
            keys = ambiguous(whole)
            unclear.append(keys.filter(keys.is_in(frame["key"].implode())))
            yield frame

    def _refuse_moved(self, name: str, salt: str, version: int, unclear: pl.Series) -> None:
        """Raise DataError if rows would change side, unless the name is pinned already and means what it meant."""
        rebased = self._remains.names()
        pins = [pin for pin in self._pins.every() if pin[0].salt == salt and pin[0].name not in rebased]
        if pins and name not in self.snapshots() and len(unclear):
            rows = self._store.read(EXAMPLES, version=version, columns=SHOWING, where=pl.col("key").is_in(unclear.implode()))
            refuse_moved(rows, pins, self._store.history(EXAMPLES))

    def _entries(
        self, pinned: Snapshot, sources: Set[str] | None, entries: pl.DataFrame | None, columns: Sequence[str] | None
    ) -> pl.DataFrame:
        if entries is None:
            frame = of_sources(_handed(self._store.read(EXAMPLES, version=pinned.version, columns=columns)), sources)
        else:
            frame = _handed(left(self._store.read(EXAMPLES, columns=columns), entries))
        return self.reviews.corrected(frame, self.reviews.counted(pinned))

    @contextmanager
    def _known(self, version: int | None) -> Iterator[Known]:
        with closing(Known()) as known:
            if version is not None:
                for rows in self._store.slices(EXAMPLES, LINES, version=version, columns=(*HALVES, "label", "source")):
                    known.learn(rows)
            yield known

    def _width(self, version: int | None) -> int:
        """Columns of its table, 0 of pictures. Where nobody named them, as on the command line, its rows tell how many."""
        if self.columns or version is None:
            return len(self.columns)
        held = next(self._store.slices(EXAMPLES, 1, version=version, columns=("image",)), None)
        return 0 if held is None else transform.width(held)

    def _take(
        self,
        source: Source,
        reject: Callable[[pl.DataFrame], None],
        run: Run,
        note: Mapping[str, str],
        heard: Callable[[int], None],
        again: Callable[[], None] = lambda: None,  # called before each attempt
    ) -> Added:
        for _ in range(ATTEMPTS):
            again()
            version = self._store.version(EXAMPLES)
            with self._known(version) as known:
                intake = Intake(self.classes, known, self.reviews.standing(), source, reject, heard, self._width(version))
                fresh = (rows.with_columns(pl.lit(run.id).alias(RUN)) for rows in intake.fresh())
                if self._store.extend(EXAMPLES, fresh, since=version, note={**noted(run), **note}):
                    return intake.added()
        raise NotReadyError(f"Other processes keep writing to {self._root}.", "Try again when they are done.")


def _handed(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with the hand that is known of each picture, where writers were asked for."""
    return frame.with_columns(HAND) if "writer" in frame.columns and len(ambiguous(frame)) else frame


def _order(frame: pl.DataFrame) -> pl.Series:
    """Where the one row of each picture stands, by key: only the places are sorted, and each picture is moved once."""
    seen = pl.col("source") != FEEDBACK  # false sorts first
    order = frame.select("key", "source", seen=seen, place=pl.row_index()).sort("key", "seen", "source")
    return order.filter(first_of("key"))["place"]
