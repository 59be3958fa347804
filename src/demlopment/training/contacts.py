"""What training sees: some of its pictures, each with versions that the augmentation makes of it. Fits nothing."""

import numpy as np
import torch

from demlopment.images import SIDE, Grey
from demlopment.records import Examples
from demlopment.settings import Training
from demlopment.training.augment import Strength, augment
from demlopment.training.network import as_tensor

MOST_ROWS, VERSIONS = 10, 7  # a page has room for eight pictures in a line that can still be seen on a phone


def contact_sheet(train: Examples, recipe: Training) -> Grey:
    """The first picture of each class as it is, then in seven versions: (classes, 8, 28, 28), at most ten classes.

    The versions are made as a fit of that recipe makes them, by a generator that no fit shares.
    """
    _, first = np.unique(train.labels, return_index=True)
    originals = train.images[first[:MOST_ROWS]]
    copies, generator = as_tensor(originals).repeat_interleave(VERSIONS, dim=0), torch.Generator().manual_seed(recipe.seed)
    versions = augment(copies, generator, Strength().times(recipe.augmentation))
    bytes_ = (255 * versions).round().to(torch.uint8).numpy().reshape(len(originals), VERSIONS, SIDE, SIDE)
    return np.concatenate([originals[:, np.newaxis], bytes_], axis=1)
