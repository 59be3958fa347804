"""What the endpoint answered, as tables of the lake. Knows rows that come in segments by name, and no file of a journal."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from demlopment.data.delta import DeltaStore
from demlopment.data.tables import TableStore
from demlopment.records import Arm, Feedback, Gap, Prediction
from demlopment.seen import restored

PREDICTIONS, FEEDBACK, GAPS = "predictions", "feedback", "gaps"
SHADOW: Arm = "shadow"
PLACE = {"segment": pl.String, "row": pl.Int64}  # where a row stood in the journal
COLUMNS: dict[str, dict[str, Any]] = {
    PREDICTIONS: {
        "request_id": pl.String,
        "at": pl.Float64,
        "model": pl.String,
        "version": pl.String,
        "arm": pl.String,
        "unit": pl.String,
        "image": pl.Binary,
        "label": pl.String,
        "probabilities": pl.Binary,
        "embedding": pl.Binary,
        "latency_ms": pl.Float64,
        "digest": pl.String,
    },
    FEEDBACK: {"request_id": pl.String, "at": pl.Float64, "label": pl.String},
    GAPS: {"start": pl.Float64, "end": pl.Float64, "count": pl.Int64},
}


class Answers:
    """The tables `predictions`, `feedback` and `gaps` below one address. Nothing is created before the first write."""

    def __init__(self, root: Path | str, store: Callable[[Path | str], TableStore] = DeltaStore) -> None:
        self._store = store(root)

    def add(self, segment: str, predictions: Sequence[Prediction], feedback: Sequence[Feedback], gaps: Sequence[Gap]) -> None:
        """Add everything of one segment, however often it is tried. Cut off anywhere, it is not held, and is repeated."""
        # The predictions come last and always: with their commit the segment is held.
        if gaps:
            self._append(GAPS, segment, [(each.start, each.end, each.count) for each in gaps])
        if feedback:
            self._append(FEEDBACK, segment, [(each.request_id, each.at, each.label) for each in feedback])
        self._append(PREDICTIONS, segment, [_row(each) for each in predictions])

    def held(self, segments: Iterable[str]) -> set[str]:
        """Those of the segments of which every row is here."""
        return self._store.batches(PREDICTIONS, segments)

    def predictions(self, since: float, without: Collection[str] = ()) -> list[Prediction]:
        """Told to clients at or after `since` (seconds since 1970) in any but some segments, as they stood in the journal."""
        chosen = self._chosen(PREDICTIONS, (pl.col("at") >= since) & (pl.col("arm") != SHADOW), without)
        return [_prediction(**row) for row in chosen.iter_rows(named=True)]

    def shadows(self, since: float, without: Collection[str] = ()) -> list[Prediction]:
        """Those that no client was told, likewise."""
        chosen = self._chosen(PREDICTIONS, (pl.col("at") >= since) & (pl.col("arm") == SHADOW), without)
        return [_prediction(**row) for row in chosen.iter_rows(named=True)]

    def feedback(self, since: float, without: Collection[str] = ()) -> list[Feedback]:
        """The labels, likewise."""
        return [Feedback(*row) for row in self._chosen(FEEDBACK, pl.col("at") >= since, without).iter_rows()]

    def gaps(self, since: float, without: Collection[str] = ()) -> list[Gap]:
        """The gaps that ended at or after `since`, likewise."""
        return [Gap(*row) for row in self._chosen(GAPS, pl.col("end") >= since, without).iter_rows()]

    def count(self) -> int:
        """How many predictions there are, also of shadows and of every model."""
        return len(self._store.read(PREDICTIONS, columns=["row"])) if self._store.exists(PREDICTIONS) else 0

    def slices(self, size: int, without: Collection[str] = ()) -> Iterator[pl.DataFrame]:
        """Every prediction in any but some segments, also of shadows: at most `size` rows at once, in no order."""
        elsewhere = pl.col("segment").is_in(sorted(without)).not_()
        columns = ["segment", *COLUMNS[PREDICTIONS]]
        for part in self._store.slices(PREDICTIONS, size, columns=columns):
            yield part.filter(elsewhere)

    def labels(self, without: Collection[str] = ()) -> pl.DataFrame:
        """The labels, likewise, in the columns `request_id`, `at` and `label`."""
        return self._chosen(FEEDBACK, pl.lit(True), without)  # noqa: FBT003  polars' way to say "all"

    def of_request(self, request_id: str, without: Collection[str] = ()) -> list[Prediction]:
        """Whatever was answered under that id, also by shadows, likewise: clients may choose one twice."""
        chosen = self._chosen(PREDICTIONS, pl.col("request_id") == request_id, without)
        return [_prediction(**row) for row in chosen.iter_rows(named=True)]

    def seen(self, without: Collection[str] = ()) -> list[tuple[str, str, str, str]]:
        """Model, version, digest and request id of every prediction, also of shadows, likewise."""
        chosen = self._chosen(PREDICTIONS, pl.lit(True), without)  # noqa: FBT003  polars' way to say "all"
        return chosen.select("model", "version", "digest", "request_id").rows()

    def forget(self, table: str, request_ids: Collection[str]) -> int:
        """Remove the rows of those requests from `PREDICTIONS` or `FEEDBACK`, and say how many they were."""
        return self._store.remove(table, "request_id", request_ids, note={})

    def _append(self, table: str, segment: str, rows: Sequence[tuple[Any, ...]]) -> None:
        frame = pl.DataFrame(rows, schema=COLUMNS[table], orient="row", strict=True)
        places = [pl.lit(segment, pl.String).alias("segment"), pl.int_range(pl.len(), dtype=pl.Int64).alias("row")]
        self._store.append(table, frame.select(*places, *COLUMNS[table]), batch=segment)

    def _chosen(self, table: str, where: pl.Expr, without: Collection[str]) -> pl.DataFrame:
        if not self._store.exists(table):
            return pl.DataFrame(schema=COLUMNS[table])
        elsewhere = pl.col("segment").is_in(sorted(without)).not_()
        return self._store.read(table, where=where & elsewhere).sort(*PLACE).select(*COLUMNS[table])


def _row(prediction: Prediction) -> tuple[Any, ...]:
    return (
        prediction.request_id,
        prediction.at,
        prediction.model,
        prediction.version,
        prediction.arm,
        prediction.unit,
        None if prediction.image is None else prediction.image.tobytes(),
        prediction.label,
        prediction.probabilities.tobytes(),
        prediction.embedding.tobytes(),
        prediction.latency_ms,
        prediction.digest,
    )


def _prediction(image: bytes | None, probabilities: bytes, embedding: bytes, **columns: Any) -> Prediction:
    return Prediction(
        image=None if image is None else restored(image),
        probabilities=np.frombuffer(probabilities, np.float32),
        embedding=np.frombuffer(embedding, np.float32),
        **columns,
    )
