"""How a model answers where pictures are a little worse than those it was examined on, as pens, papers and scanners make them.

From these monitoring learns how far confidences can be believed on pictures of another kind. Knows a model only as a reader.
"""

from collections.abc import Iterator

import numpy as np

from demlopment import images
from demlopment.evaluation.reader import Reader
from demlopment.evaluation.robustness import CORRUPTIONS
from demlopment.records import Examples, Scores
from demlopment.scores import scored

ROWS = 400  # at most: four errors in a hundred are then known to a quarter, and eleven kinds take a second
LIGHTEST = 1  # of the strengths of a corruption
READ = 0.9  # share that is still right, at least: what is worse is not another pen or scanner, but foul


def worn(read: Reader, examples: Examples, seed: int = 1) -> Iterator[Scores]:
    """The scores under each light corruption that leaves nearly all pictures to be read; none without examples."""
    some = examples.where(np.random.default_rng(seed).permutation(len(examples))[:ROWS])
    for number, (name, corruption, _) in enumerate(CORRUPTIONS if len(some) else ()):
        pictures = corruption(some.images, LIGHTEST, np.random.default_rng([seed, number]))
        found = scored(name, read(np.stack([images.prepare(picture) for picture in pictures])), some)
        if found.accuracy >= READ:
            yield found
