"""Production as columns: the journal's files and the lake's tables, measured slice by slice, with the labels joined to them.

No answer of the lake becomes an object: a million take seconds and a few hundred megabytes.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from demlopment.archive import Archive
from demlopment.data import Answers
from demlopment.data.answers import SHADOW
from demlopment.data.contract import NUMBER_BYTES
from demlopment.home import Home
from demlopment.images import SIDE
from demlopment.lifecycle.compact import journal
from demlopment.lifecycle.store import otherwise
from demlopment.monitoring.evidence import Evidence
from demlopment.monitoring.reference import FORMAT
from demlopment.monitoring.stretch import Raw, Stretch, measured, together
from demlopment.monitoring.sweep import every
from demlopment.records import Feedback, Prediction
from demlopment.seen import Seen
from demlopment.serving import recorded

SLICE = 25_000  # rows at once: their pictures and embeddings are 30 MB
LIGHT = ("request_id", "at", "version", "label")
CLOCKS = 60.0  # s by which the clocks of machines may differ


def evidence(
    home: Home, model: Archive, window: int, *, since: float = 0.0, until: float = -np.inf, now: float = np.inf
) -> Evidence:
    """Of the model that an archive is, since it first answered and a time; `until` was looked at before (seconds since 1970).

    Answers of versions that read other columns are passed over, and counted: what they were shown cannot be compared.

    Of very many rows each second, third, ... is measured, as many as windows of `window` answers and longer ones compare.

    A row that stands twice, as where a segment was copied, counts once; a label may come before its answer, and the last one
    counts; of a request id that was used twice none does. Raises DataError for a damaged file.
    """
    written = recorded.found_in(journal(home), since)
    answers, other = Answers(home.lake), otherwise(home, model.card)
    light, parts = [], []
    step = every(answers.count() + len(written.predictions), window)
    for frame in _frames(written.predictions, answers, written.segments):
        kept = frame.filter((pl.col("model") == model.card.name) & (pl.col("at") >= since) & (pl.col("arm") != SHADOW))
        if len(kept):
            kept = kept.with_columns(alike=_alike(model, other))
            light.append(kept.select(*LIGHT, "alike"))
            parts.append(measured(model.reference, _raw(kept.filter("alike"), model, step)))
    if not parts:
        return Evidence(_nothing(model), np.zeros(0), np.zeros(0))
    rows = pl.concat(light).with_row_index("row").with_columns(measured=pl.col("alike").cast(pl.Int64).cum_sum() - 1)
    once = rows.unique(["request_id", "at", "version"], keep="first").sort("at", "row")
    labels = pl.concat([answers.labels(written.segments), _labels(written.feedback)])
    (right, heard), stray = _joined(once, labels, model.card.version)
    since_then = np.arange(len(once)) >= _began(once, model.card.version)
    alike = once["alike"].to_numpy()
    chosen = since_then & alike
    stretch = together(parts).where(once["measured"].to_numpy()[chosen])
    return Evidence(
        stretch,
        right[chosen],
        heard[chosen],
        fresh=int(np.searchsorted(stretch.at, until, side="right")),
        repeated=len(rows) - len(once) + written.repeated,
        stray=stray,
        ahead=int((stretch.at > now + CLOCKS).sum()),
        otherwise=int((since_then & ~alike).sum()),
    )


def _alike(model: Archive, other: Collection[str]) -> pl.Expr:
    """Which answers are to what the model reads: by the archives of their versions, and where these are gone by its bytes."""
    columns = model.card.columns
    size = pl.col("image").bin.size() == (NUMBER_BYTES * len(columns) if columns else SIDE * SIDE)
    return ~pl.col("version").is_in(list(other)) & (pl.col("image").is_null() | size)


def _began(rows: pl.DataFrame, version: str) -> int:
    """Which row is the first that a version answered: what was asked before tells nothing of it, and may be why it was made."""
    ours = rows["version"] == version
    return int(ours.to_numpy().argmax()) if ours.any() else len(rows)


def _joined(
    rows: pl.DataFrame, labels: pl.DataFrame, version: str
) -> tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], int]:
    """Whether each answer was right and when that was heard, and how many labels found none."""
    single = pl.col("request_id").is_unique()
    last = labels.sort("at").unique("request_id", keep="last", maintain_order=True).rename({"label": "truth", "at": "heard"})
    found = rows.with_columns(alone=single).join(last, on="request_id", how="left", maintain_order="left")
    ours = pl.col("alone") & (pl.col("version") == version) & pl.col("truth").is_not_null()
    told = found.select(
        right=pl.when(ours).then((pl.col("truth") == pl.col("label")).cast(pl.Float64)).otherwise(float("nan")),
        heard=pl.when(ours).then(pl.max_horizontal("heard", "at")).otherwise(float("inf")),
    )
    known = found.filter(pl.col("alone") & pl.col("truth").is_not_null())
    return (told["right"].to_numpy(), told["heard"].to_numpy()), len(last) - len(known)


def _frames(written: Sequence[Prediction], answers: Answers, without: frozenset[str]) -> Iterator[pl.DataFrame]:
    """The journal's rows, which are few where the lake takes them over, and then the lake's."""
    for begin in range(0, len(written), SLICE):
        some = written[begin : begin + SLICE]
        yield pl.DataFrame(
            {
                "request_id": [each.request_id for each in some],
                "at": [each.at for each in some],
                "model": [each.model for each in some],
                "version": [each.version for each in some],
                "arm": [each.arm for each in some],
                "label": [each.label for each in some],
                "image": pl.Series([None if each.image is None else each.image.tobytes() for each in some], dtype=pl.Binary),
                "probabilities": pl.Series([each.probabilities.tobytes() for each in some], dtype=pl.Binary),
                "embedding": pl.Series([each.embedding.tobytes() for each in some], dtype=pl.Binary),
            }
        )
    yield from answers.slices(SLICE, without)


def _labels(feedback: Sequence[Feedback]) -> pl.DataFrame:
    rows = [(each.request_id, each.at, each.label) for each in feedback]
    return pl.DataFrame(rows, schema={"request_id": pl.String, "at": pl.Float64, "label": pl.String}, orient="row")


def _raw(frame: pl.DataFrame, model: Archive, step: int = 1) -> Raw:
    """What one version answered is read as its numbers, whatever others wrote."""
    ours = frame["version"] == model.card.version
    known = model.reference.get("format") == FORMAT
    sizes = frame["embedding"].bin.size().filter(ours).to_numpy()
    classes, width = len(model.card.classes), len(model.reference["directions"][0]) if known else int(sizes.max(initial=0)) // 4
    fit = (frame["probabilities"].bin.size() == 4 * classes) & (frame["embedding"].bin.size() == 4 * width)
    shown, told = frame["image"].is_not_null().to_numpy(), (ours & fit).to_numpy()
    compared = np.arange(len(frame)) % step == 0
    return Raw(
        frame["at"].to_numpy(),
        _seen(frame["image"], shown & compared, model),
        shown,
        _array(frame["probabilities"], told, pl.Float32, classes),
        _array(frame["embedding"], told & compared, pl.Float32, width),
        told,
        compared,
    )


def _seen(column: pl.Series, chosen: npt.NDArray[np.bool_], model: Archive) -> Seen:
    """What the model was shown: pictures (n, 28, 28), or rows (n, columns)."""
    if model.card.columns:
        return _array(column, chosen, pl.Float32, len(model.card.columns))
    return _array(column, chosen, pl.UInt8, SIDE * SIDE).reshape(-1, SIDE, SIDE)


def _array(column: pl.Series, chosen: npt.NDArray[np.bool_], kind: type[pl.DataType], width: int) -> npt.NDArray[Any]:
    """Bytes as numbers, (n, width); 0 where they are not chosen."""
    numbers = column.filter(pl.Series(chosen)).bin.reinterpret(dtype=pl.Array(kind, width), endianness="little").to_numpy()
    if chosen.all():
        return numbers
    spread = np.zeros((len(chosen), width), numbers.dtype)
    spread[chosen] = numbers
    return spread


def _nothing(model: Archive) -> Stretch:
    empty = pl.DataFrame(schema=dict.fromkeys(("image", "probabilities", "embedding"), pl.Binary))
    return measured(model.reference, _raw(empty.with_columns(at=pl.lit(0.0), version=pl.lit("")), model))
