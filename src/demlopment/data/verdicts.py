"""Reviews as they come back: a `reviews.csv` whose column `verdict` a person has filled. Judges each line, and shows none."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from demlopment.data import sheet, transform
from demlopment.data.contract import KEPT, RAW, SEPARATOR
from demlopment.data.lake import Lake
from demlopment.data.queue import VERDICT
from demlopment.data.reviews import DROPPED, Review
from demlopment.data.sources import returned
from demlopment.data.sources.port import digest, own_name
from demlopment.errors import DataError

KEEP, DROP = "keep", "drop"
NEEDED = ("key", "label", VERDICT)
FORMAT = f"Give a file as `demlopment data review --export` writes it, with the columns {', '.join(NEEDED)}."


@dataclass(frozen=True)
class Taken:
    """What became of the lines of one file: lines = added + known + empty + refused."""

    lines: int
    added: int
    known: int  # verdicts that were taken before, or that stand already by the same person
    empty: int  # without a verdict yet
    refused: Mapping[int, str]  # number of the line -> every reason; these are in quarantine
    learned: int  # requests that became examples: they had no label before


def take(lake: Lake, path: Path, by: str, at: float, *, commit: str = "unknown") -> Taken:
    """Add the verdicts of a file to the reviews, as given by a person at a time (seconds since 1970).

    A verdict is "keep", "drop" or a class; "keep" keeps the label that the file shows. A bad line goes to quarantine
    with its reasons, and stops no other. A request that was labelled becomes an example, as if its label had come back.
    One commit for all good lines and one for new examples: cut off anywhere, it is simply repeated. `commit` is that of the
    code, which their run says.
    Raises DataError if the file cannot be read, or nobody is named.
    """
    if not by.strip():
        raise DataError("Nobody is named who gave these reviews.", "Say who it was with --by.")
    sha256, lines = digest(path), sheet.lines(path, NEEDED, FORMAT)
    keys = [line["key"] for line in lines.values()]
    held = {*lake.now(pl.col("key").is_in(keys), ("key",))["key"], *lake.asked.all()["key"]}
    given = {number: line for number, line in lines.items() if line[VERDICT]}
    refused = {number: _reasons(line, held, lake.classes) for number, line in given.items()}
    refused = {number: reasons for number, reasons in refused.items() if reasons}
    reviews = [
        Review(line["key"], line["label"], _label(line), by.strip(), at, sha256, number)
        for number, line in given.items()
        if number not in refused
    ]
    added = lake.reviews.add(reviews)
    if refused:
        lake.bad.reject(_rejected({number: given[number] for number in refused}, refused, own_name(path.stem, sha256), sha256))
    return Taken(len(lines), added, len(reviews) - added, len(lines) - len(given), refused, _learned(lake, commit))


def _learned(lake: Lake, commit: str) -> int:
    """Give the examples every request that was asked about, has a label, and is not among them; how many these are."""
    labelled = lake.reviews.standing().filter(pl.col("label") != DROPPED)
    asked = lake.asked.all().unique("key", keep="first", maintain_order=True).join(labelled, on="key", maintain_order="left")
    held = lake.now(pl.col("key").is_in(asked["key"].to_list()), ("key",))
    fresh = asked.join(held, on="key", how="anti", maintain_order="left")
    if fresh.is_empty():
        return 0
    rows = returned(transform.pixels(fresh), fresh["label"].to_list(), fresh["request_id"].to_list())
    return lake.add(rows, commit=commit).added


def _reasons(line: Mapping[str, str], held: Collection[str], classes: Sequence[str]) -> str:
    """Everything that is wrong with a line that has a verdict; "" where nothing is."""
    verdict, wrong = line[VERDICT], []
    if line["key"] not in held:
        wrong.append("no row has this key")
    if verdict not in classes and verdict.lower() not in (KEEP, DROP):
        wrong.append(f"verdict is neither {KEEP}, {DROP} nor a class")
    if verdict.lower() == KEEP and line["label"] not in classes:
        wrong.append("label that is kept is none of the classes")
    return SEPARATOR.join(wrong)


def _label(line: Mapping[str, str]) -> str | None:
    return {KEEP: line["label"], DROP: None}.get(line[VERDICT].lower(), line[VERDICT])


def _rejected(lines: Mapping[int, Mapping[str, str]], reasons: Mapping[int, str], source: str, sha256: str) -> pl.DataFrame:
    """Bad lines as rows of quarantine, which have no picture."""
    count = len(lines)
    columns = {
        "image": [None] * count,
        "format": ["review"] * count,
        "label": [line[VERDICT] for line in lines.values()],
        "writer": [None] * count,
        "source": [source] * count,
        "licence": [""] * count,
        "origin": [sha256] * count,
        "row": list(lines),
        "reasons": list(reasons.values()),
    }
    return pl.DataFrame(columns, schema={**{name: RAW[name] for name in KEPT}, "reasons": pl.String()})
