"""What a model answered to two pictures of its own when it was judged, and how far another's answers are from that.

Travels in an archive, so that whoever loads one can see that it answers alike: with the same preparation, network,
temperature and classes. Knows no endpoint and no test.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, log

import numpy as np
import numpy.typing as npt

from demlopment import images, row, seen
from demlopment.row import Column
from demlopment.seen import Seen

# Of a logarithm: float32 in another order differs by 0.0001. Another picture, classes in another order, no temperature or
# another network move some class by far more, be it one of those that are least likely.
TOLERANCE = 0.001
FAINTEST = 1e-20  # a probability below it counts as it: the digits of float32 end near there
UNLIKE = "does not answer here as it did when it was judged"  # how whoever loads an archive says so; a client finds it by these

Answers = tuple[Mapping[str, float], ...]  # the probability of each class, for each of the pictures


def pictures(sample: bytes, columns: Sequence[Column] = ()) -> Seen:
    """An archive's sample, prepared, and the same upside down: no class explains that one well, so the probabilities differ.

    (2, 28, 28); of a row of these columns and one at the other ends of their ranges, (2, columns).
    Raises one of `seen.UNREADABLE` if the sample is neither.
    """
    first = seen.preparation(columns)(sample)
    other = row.mirrored(first, columns) if columns else images.prepare(np.ascontiguousarray(first[::-1, ::-1]))
    return np.stack([first, other])


def answers(probabilities: npt.NDArray[np.float32], classes: Sequence[str]) -> Answers:
    """Rows of probabilities (2, classes) under the names of the classes."""
    return tuple(dict(zip(classes, row.tolist(), strict=True)) for row in probabilities)


def apart(said: Mapping[str, float], expected: Mapping[str, float]) -> tuple[float, str]:
    """The greatest distance of a logarithm among the classes that were said, in nats, and where.

    >>> apart({"0": 0.5, "1": 0.5}, {"0": 0.25, "1": 0.75})
    (0.6931471805599453, '0: 0.5 instead of 0.25')
    """
    strange = sorted(set(said) - set(expected))
    if strange or not said:
        return inf, f"classes that the model has not: {', '.join(strange) or 'none at all'}"
    if not all(map(isfinite, said.values())):
        return inf, "a probability that is not a number"
    return max(
        (abs(log(max(share, FAINTEST) / max(expected[name], FAINTEST))), f"{name}: {share:.3g} instead of {expected[name]:.3g}")
        for name, share in said.items()
    )
