"""How often a model errs on corrupted pictures, by corruption and on the whole. Knows a model only as a reader.

Each of the rows is corrupted once in each way, a fifth of them at each strength: so an error is a share of independent rows.
Corrupted pictures pass `images.prepare` again, as a request's would.
"""

import zlib

import numpy as np
import numpy.typing as npt

from demlopment import images
from demlopment.errors import DataError
from demlopment.evaluation import corruptions, evidence
from demlopment.evaluation.corruptions import STRENGTHS, Corruption
from demlopment.evaluation.reader import Reader
from demlopment.records import Check, Examples, Interval

ROWS = 1000  # at most: 200 at each strength
RESAMPLED = 400  # times, for the interval of the error relative to a reference

Errors = npt.NDArray[np.bool_]  # (corruptions, rows)

# Each bound lies between three networks that read digits well, fitted to 600, 1,000 and 2,700 of them, and the least that a
# broken one errs, which is 0.89 and more: see docs/evaluation.md.
MILD = 0.3  # they err on 0.01 to 0.05: preparation undoes most of it
MEDIUM = 0.7  # 0.05 to 0.34; the recipe of 40 epochs with thicker strokes on 0.47 with impulse noise
HARD = 0.8  # 0.33 to 0.52
HARDEST = 0.85  # 0.67 to 0.70: what crosses the digit is ink as well
MEAN = 0.6  # 0.25 to 0.29
# What is told, and not judged: 0.9 for all of them. Preparation takes the light stripes for the ink, and nothing is read there.
HOPELESS = None

CORRUPTIONS: tuple[tuple[str, Corruption, float | None], ...] = (
    ("shot noise", corruptions.shot_noise, MILD),
    ("impulse noise", corruptions.impulse_noise, MEDIUM),
    ("glass blur", corruptions.glass_blur, HARD),
    ("motion blur", corruptions.motion_blur, MEDIUM),
    ("shear", corruptions.shear, MEDIUM),
    ("scale", corruptions.scale, MILD),
    ("rotate", corruptions.rotate, MEDIUM),
    ("brightness", corruptions.brightness, MILD),
    ("translate", corruptions.translate, MILD),
    ("stripe", corruptions.stripe, HOPELESS),
    ("fog", corruptions.fog, HARD),
    ("spatter", corruptions.spatter, MEDIUM),
    ("dotted line", corruptions.dotted_line, MEDIUM),
    ("zigzag", corruptions.zigzag, HARDEST),
    ("canny edges", corruptions.canny_edges, MEDIUM),
)
TOLD = "told, not judged: preparation takes the stripes for the ink"


def robustness(read: Reader, examples: Examples, seed: int, *, reference: Reader | None = None) -> tuple[Check, ...]:
    """The error under each corruption, their mean, and, with a `reference`, that mean relative to its errors.

    At most 1,000 of the examples are taken, drawn by `seed`; their labels are columns of both readers.
    Raises DataError if there are no examples.
    """
    if len(examples) == 0:
        raise DataError("There are no examples to corrupt.", "Ingest more examples, or split with another salt.")
    some = _sample(examples, seed)
    pictures = [_corrupted(some, name, corruption, seed) for name, corruption, _ in CORRUPTIONS]
    errors = _errors(read, pictures, some)
    checks = [
        evidence.share("robustness", name, wrong, bound, least=False, note=TOLD if bound is None else "")
        for (name, _, bound), wrong in zip(CORRUPTIONS, errors, strict=True)
    ]
    checks.append(_mean(errors))
    if reference is not None:
        checks.append(_relative(errors, _errors(reference, pictures, some)))
    return tuple(checks)


def _sample(examples: Examples, seed: int) -> Examples:
    return examples.where(np.random.default_rng(seed).permutation(len(examples))[:ROWS])


def _corrupted(some: Examples, name: str, corruption: Corruption, seed: int) -> images.Grey:
    """(n, 28, 28): the first fifth of the rows at strength 1, the last at 5, all prepared again."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    parts = zip(np.array_split(some.images, len(STRENGTHS)), STRENGTHS, strict=True)
    corrupted = [corruption(part, strength, rng) for part, strength in parts if len(part)]
    return np.stack([images.prepare(picture) for part in corrupted for picture in part])


def _errors(read: Reader, pictures: list[images.Grey], some: Examples) -> Errors:
    return np.stack([read(each).argmax(axis=1) != some.labels for each in pictures])


def _mean(errors: Errors) -> Check:
    """The mean over all corruptions. A row's fifteen pictures are one row, so the interval is that of as many rows.

    It is a little too wide, and never too narrow: among numbers from 0 to 1 those that are 0 or 1 vary most.
    """
    rows, value = errors.shape[1], float(errors.mean())
    whole = evidence.share("robustness", "mean corruption error", np.arange(rows) < round(value * rows), MEAN, least=False)
    return Check(whole.group, whole.name, value, whole.interval, whole.bound, least=False, rows=rows)


def _relative(errors: Errors, reference: Errors) -> Check:
    """Hendrycks and Dietterich's mean corruption error: the mean of the errors' ratios; 1 is as good as the reference.

    Half an error is added on both sides, so that a reference without one divides nothing by 0. The interval comes from rows
    that are drawn again. It is told and not judged: whether a candidate is better is the paired test's to say.
    Source   D. Hendrycks, T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
             ICLR 2019.
    """
    rows = errors.shape[1]
    drawn = np.random.default_rng(rows).multinomial(rows, np.full(rows, 1 / rows), RESAMPLED)  # how often each row
    ratios = ((errors @ drawn.T + 0.5) / (reference @ drawn.T + 0.5)).mean(axis=0)
    low, high = np.quantile(ratios, [(1 - evidence.CONFIDENCE) / 2, (1 + evidence.CONFIDENCE) / 2])
    value = float(((errors.sum(axis=1) + 0.5) / (reference.sum(axis=1) + 0.5)).mean())
    interval = Interval(float(low), float(high), evidence.CONFIDENCE)
    return Check("robustness", "mean corruption error relative to the reference", value, interval, None, False, rows)  # noqa: FBT003
