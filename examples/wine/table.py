"""The table: what its columns are, and as many wines as are needed. Knows no model.

The 178 wines that were measured (M. Forina, 1986; mlxtend ships them) are too few: 27 would judge, and of 27 a difference of
ten points is seen one time in ten. So wines are drawn, with the means and covariances that the real ones of each cultivar
have, and the truth is known: nobody can tell more of them apart than `ceiling` says.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlxtend.data import wine_data
from scipy.stats import multivariate_normal

from demlopment.row import Column, Row

CLASSES = ("barolo", "grignolino", "barbera")
COLUMNS = (  # the ranges are those of sound wines: what is outside is a slip of the pen or another unit
    Column("alcohol", 9, 17),  # per cent by volume
    Column("malic_acid", 0, 9),  # g/l
    Column("ash", 1, 4),  # g/l
    Column("colour", 0, 18),  # intensity
    Column("hue", 0.2, 2.5),
)
MEASURED = (0, 1, 2, 9, 10)  # where these stand among the thirteen of the real table
DOUBTS = 0.05  # of wines, nobody can tell one in twenty apart: a sound network contradicts such labels
SLIPS = ("129,1.9,2.2,4,1.0,barbera", "12.9,,2.2,4,1.0,barolo", "13.1,1.9,2.2,red,1.0,barolo", "13.2,1.9,2.2,4,1.0,merlot")
Labels = npt.NDArray[np.int64]


def wines(count: int, seed: int) -> tuple[Row, Labels]:
    """So many wines, (n, 5) within the ranges, and their cultivars as places in `CLASSES`, (n,)."""
    rng, (low, high) = np.random.default_rng(seed), _ends()
    labels = rng.choice(len(CLASSES), count, p=[share for share, _ in _cultivars()])
    values = np.empty((count, len(COLUMNS)))
    for place, (_, law) in enumerate(_cultivars()):
        drawn = law.rvs(4 * count, random_state=rng)
        sound = drawn[((drawn >= low) & (drawn <= high)).all(axis=1)]
        values[labels == place] = sound[: int((labels == place).sum())]
    return values.round(3).astype(np.float32), labels


def another_press(values: Row) -> Row:
    """The same wines from a press that is harder on the skins: more colour, less hue."""
    (low, high), harder = _ends(), np.array([0, 0, 0, 1.5, -0.25])
    return np.asarray((values + harder).clip(low, high), np.float32)


def ceiling(values: Row, labels: Labels) -> float:
    """The share that somebody would be right about who knows how the wines were drawn (Bayes' rule)."""
    said = np.stack([np.log(share) + law.logpdf(values) for share, law in _cultivars()])
    return float((said.argmax(axis=0) == labels).mean())


def write(path: Path, values: Row, labels: Labels) -> None:
    """A CSV as a laboratory might send it, with a few slips."""
    lines = [",".join([*map(str, row), CLASSES[label]]) for row, label in zip(values.tolist(), labels, strict=True)]
    header = ",".join([*(column.name for column in COLUMNS), "label"])
    path.write_text("\n".join((header, *lines[:9], *SLIPS, *lines[9:])) + "\n")


def _cultivars() -> list[tuple[float, Any]]:
    """Of each its share and its law."""
    values, labels = wine_data()
    ours = [values[labels == place][:, MEASURED] for place in range(len(CLASSES))]
    return [(len(each) / len(labels), multivariate_normal(each.mean(axis=0), np.cov(each.T))) for each in ours]


def _ends() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.array([each.low for each in COLUMNS]), np.array([each.high for each in COLUMNS])
