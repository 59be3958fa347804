"""Where a model is weak: parts of the test rows that a person would ask about. Knows no model."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from demlopment.images import SIDE, Grey
from demlopment.intervals import wilson
from demlopment.legibility import ink
from demlopment.records import Check, Examples, Scores
from demlopment.row import Column, statistics
from demlopment.seen import Seen

ENOUGH = 30  # rows: of fewer the interval of a share is wider than any bound
TOO_FEW = f"told only: fewer than {ENOUGH} rows"
THIRDS = ("low", "middle", "high")

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


def slices(examples: Examples, classes: Sequence[str], columns: Sequence[Column] = ()) -> dict[str, Mask]:
    """Which rows are in each slice that has any: by class, source, writer, and by thirds of its looks.

    Looks are those of a picture, or the columns of a table. Writers count as one slice each; where nobody's writer is known
    there is none. Thirds are those of these examples, so two models that are compared on the same rows are compared on the
    same slices.
    """
    found = {f"class {name}": examples.labels == place for place, name in enumerate(classes)}
    found |= {f"source {name}": examples.sources == name for name in np.unique(examples.sources).tolist()}
    found |= {f"writer {name}": examples.writers == name for name in np.unique(examples.writers).tolist() if name}
    for name, values in _measured(examples.images, columns).items():
        edges = np.quantile(values, [1 / 3, 2 / 3]) if len(values) else np.zeros(2)
        third = np.digitize(values, edges)
        found |= {f"{name} {word}": third == place for place, word in enumerate(THIRDS)}
    return {name: mask for name, mask in found.items() if mask.any()}


def slice_checks(scores: Scores, found: Mapping[str, Mask], bound: float | None = None) -> tuple[Check, ...]:
    """The accuracy in each slice, the worst first; only those with `ENOUGH` rows are held to the bound.

    Each interval has the confidence of `together`.
    """
    confidence = together(found)
    made = []
    for name, mask in found.items():
        rows, right = int(mask.sum()), int(scores.correct[mask].sum())
        enough = rows >= ENOUGH
        interval = wilson(right, rows, confidence)
        note = "" if enough else TOO_FEW
        made.append(Check("slices", name, right / rows, interval, bound if enough else None, least=True, rows=rows, note=note))
    return tuple(sorted(made, key=lambda check: (check.rows < ENOUGH, check.value, check.name)))


def _measured(images: Seen, columns: Sequence[Column]) -> dict[str, Numbers]:
    return statistics(images, columns) if columns else {name: measure(images) for name, measure in MEASURES.items()}


def together(found: Mapping[str, Mask]) -> float:
    """The confidence of each interval, so that those of all slices with `ENOUGH` rows hold together with 95 %.

    The more slices, the likelier one is bad by chance (C. Bonferroni, 1936).
    """
    return 1 - 0.05 / max(1, sum(int(mask.sum()) >= ENOUGH for mask in found.values()))


def thickness(images: Grey) -> Numbers:
    """Mean width of the strokes in pixels: (n,); 0 for a blank picture.

    A long stroke of width w has w times its length in area and twice its length in outline; the outline of a grey picture is
    the sum of its slopes (its total variation). Strokes thinner than two pixels read as two: they have no full tone.
    """
    padded = np.pad(images.astype(np.float64) / 255, ((0, 0), (1, 1), (1, 1)))
    down, right = np.diff(padded, axis=1)[:, :, :-1], np.diff(padded, axis=2)[:, :-1, :]
    outline = np.sqrt(down**2 + right**2).sum(axis=(1, 2))
    area = padded.sum(axis=(1, 2))
    return np.asarray(np.divide(2 * area, outline, out=np.zeros_like(area), where=outline > 0), np.float64)


def slant(images: Grey) -> Numbers:
    """How far the writing leans to the right, in pixels to the side for each pixel upwards: (n,); 0 for a blank picture."""
    places = np.arange(SIDE, dtype=np.float64)
    inked = images.astype(np.float64)
    mass = inked.sum(axis=(1, 2))
    safe = np.where(mass > 0, mass, 1)
    across, down = inked.sum(axis=1), inked.sum(axis=2)  # (n, 28): of each column, of each row
    x, y = across @ places / safe, down @ places / safe
    both = np.einsum("nij,i,j->n", inked, places, places) / safe - x * y
    spread = down @ places**2 / safe - y**2
    return np.asarray(np.divide(-both, spread, out=np.zeros_like(both), where=spread > 1e-9), np.float64)


def aspect(images: Grey) -> Numbers:
    """Width over height of the box that holds the ink: (n,); 1 for a blank picture."""
    width, height = ((images.max(axis=axis) > 0) for axis in (1, 2))
    sides = [SIDE - each.argmax(axis=1) - each[:, ::-1].argmax(axis=1) for each in (width, height)]
    blank = ~width.any(axis=1)
    return np.where(blank, 1.0, sides[0] / sides[1])


MEASURES = {"stroke width": thickness, "slant": slant, "ink": ink, "aspect": aspect}
