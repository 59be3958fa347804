"""How often a model is right where nobody said so, from the requests that were drawn by chance and have a label since.

Those that were chosen because they are hard, strange or in dispute count for nothing here. Fits nothing and stores nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from demlopment.data.lake import Lake
from demlopment.data.reviews import DROPPED
from demlopment.intervals import wilson
from demlopment.records import Interval


@dataclass(frozen=True)
class Sampled:
    """What the draws say of one version."""

    model: str
    version: str
    drawn: int  # of its answers
    labelled: int  # of these; one that shows nothing that could be read has no label
    right: int  # of these
    accuracy: float  # 0 to 1, of all answers that they were drawn from
    interval: Interval


def sampled(lake: Lake) -> tuple[Sampled, ...]:
    """For each version of which such a request has a label: from reviews, or from whoever sent it."""
    drawn = lake.asked.all().filter(pl.col("chance").is_not_null())
    labels = _labels(lake, drawn["key"].to_list())
    return tuple(
        _told(str(model), str(version), rows, labels)
        for (model, version), rows in drawn.sort("model", "version", "request_id").group_by(
            "model", "version", maintain_order=True
        )
        if labels.keys() & set(rows["key"])
    )


def _labels(lake: Lake, keys: list[str]) -> Mapping[str, str]:
    """What the pictures show: what the latest review says, or else what came back."""
    held = lake.now(pl.col("key").is_in(keys), ("key", "label")).unique("key")
    said = lake.reviews.standing().filter(pl.col("key").is_in(keys))
    labels = dict(held.select("key", "label").iter_rows()) | dict(said.iter_rows())
    return {key: label for key, label in labels.items() if label != DROPPED}


def _told(model: str, version: str, rows: pl.DataFrame, labels: Mapping[str, str]) -> Sampled:
    """Each counts for as many as it was drawn from, 1 / chance, so that draws from few and from many may stand together.

    Without that their number would be the trials; so many as they are worth are (L. Kish, "Survey Sampling", 1965, 8.2).
    """
    known = rows.filter(pl.col("key").is_in(list(labels)))
    right = np.array([labels[key] == said for key, said in known.select("key", "said").iter_rows()])
    weights = 1 / known["chance"].to_numpy()
    accuracy = float(weights @ right / weights.sum())
    worth = max(1, int(weights.sum() ** 2 / (weights @ weights) + 1e-9))
    interval = wilson(round(accuracy * worth), worth)
    return Sampled(model, version, len(rows), len(known), int(right.sum()), accuracy, interval)
