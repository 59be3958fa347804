"""Rows with bad ones planted among them, for a demonstration and for tests. Judges none."""

import polars as pl

from demlopment.data.contract import PIXELS
from demlopment.data.sources.port import RawRows

PLANTED = "planted"  # the source of rows that are bad on purpose


def spoiled(rows: RawRows) -> RawRows:
    """The same rows followed by six planted bad ones, each made from a good one, to see that the contract catches them."""
    first = rows.frame["image"][0]
    label = str(rows.frame["label"][0])
    planted = RawRows.of(
        [first, first, first[:-1], bytes(PIXELS), None, first],
        ["12", None, label, label, label, "1" if label == "0" else "0"],
        source=PLANTED,
        licence=rows.frame["licence"][0],
        origins=f"planted in {rows.name}",
    )
    return RawRows(rows.name, rows.sha256, pl.concat([rows.frame, planted.frame]))
