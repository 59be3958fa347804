"""Pictures that show the same writing twice: a copy with noise, other brightness, or saved once more. Knows no labels.

Two pictures are near-duplicates if they are closer than any two of MNIST were found to be; docs/lab-notes.md has the
measurement. Whole numbers throughout, so that what is found depends on neither the machine nor the other rows.
"""

from hashlib import shake_256

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from demlopment.data.contract import PIXELS
from demlopment.images import SIDE
from demlopment.seen import Seen

# Between pictures of length 1: the nearest pair found among MNIST's 60,000 is two 1s at 0.129; 99 % of copies with noise of
# 8 grey levels and 94 % of those that were saved as a JPEG of quality 90 are nearer than this.
NEAREST = 0.12
BANDS, BITS = 8, 40  # copies agree in all bits of some band (99.9 % do); of MNIST's pairs one in 4,000 do, and are compared
WINDOW = 50  # rows with one band that are compared with one: a crowd of copies is one group even so, and never costs its square
MARGIN = 4  # pixels around a prepared picture that hold no ink but noise
CHUNK = 10_000  # rows or pairs in memory at once, 31 MB of numbers

Pairs = npt.NDArray[np.int64]


def near_duplicates(images: Seen) -> npt.NDArray[np.int64]:
    """For each picture (n, 28, 28) the first row that it is a near-duplicate of, its own where it is none: (n,).

    Near-duplicates of one row are near-duplicates of each other. Equal pictures are. A blank picture shows nothing that
    could be the same, so it stands alone; and so does a row of a table (n, columns), whose numbers are its own.

    >>> picture = np.arange(784, dtype=np.uint8).reshape(1, 28, 28)
    >>> near_duplicates(np.concatenate([picture, 255 - picture, picture])).tolist()
    [0, 1, 0]
    """
    if images.ndim == 2:
        return np.arange(len(images))
    flat = images.reshape(len(images), PIXELS)
    pairs = near_pairs(flat)
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(flat), len(flat)))
    _, group = connected_components(links, directed=False)
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[place], np.int64)


def near_pairs(flat: npt.NDArray[np.uint8]) -> Pairs:
    """The near pairs among pictures (n, 784) that share a band of their hash: (pairs, 2), the smaller row first."""
    hashes = perceptual_hash(flat)
    lengths = np.sqrt(_products(flat, np.repeat(np.arange(len(flat)), 2).reshape(-1, 2)).astype(np.float64))
    found = [np.empty((0, 2), np.int64)]
    for band in range(BANDS):
        order = np.argsort(hashes[:, band], kind="stable")
        order = order[lengths[order] > 0]
        for apart in range(1, min(WINDOW, len(order))):
            alike = np.flatnonzero(hashes[order[apart:], band] == hashes[order[:-apart], band])
            if not len(alike):
                break  # rows in order: where no two at this distance agree, no two farther apart do
            pairs = np.sort(np.stack([order[alike], order[alike + apart]], axis=1), axis=1)
            near = _products(flat, pairs) > (1 - NEAREST**2 / 2) * lengths[pairs].prod(axis=1)
            found.append(pairs[near])
    return np.unique(np.concatenate(found), axis=0)


def perceptual_hash(flat: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """320 bits for each picture (n, 784) that small changes leave nearly alone: (n, BANDS), `BITS` of them in each number.

    Each bit says on which side of a smooth random wave the picture lies, so that brightness does not matter.
    """
    weights = 1 << np.arange(BITS, dtype=np.int64)
    chunks = [
        (chunk.astype(np.float32) @ WAVES > 0).reshape(-1, BANDS, BITS) @ weights
        for chunk in np.array_split(flat, max(1, -(-len(flat) // CHUNK)))
    ]
    return np.concatenate(chunks)


def _products(flat: npt.NDArray[np.uint8], pairs: Pairs) -> npt.NDArray[np.int64]:
    """The scalar product of each pair: (pairs,), exact; at most 784 * 255 ** 2, which fits 32 bits."""
    chunks = [
        np.einsum("ij,ij->i", flat[chunk[:, 0]].astype(np.int32), flat[chunk[:, 1]].astype(np.int32))
        for chunk in np.array_split(pairs, max(1, -(-len(pairs) // CHUNK)))
    ]
    return np.concatenate(chunks).astype(np.int64)


def _waves() -> npt.NDArray[np.float32]:
    """(784, bits) whole numbers: noise that nobody can have chosen, smoothed by one pixel, about as much up as down."""
    count = BANDS * BITS
    noise = np.frombuffer(shake_256(b"demlopment").digest(count * PIXELS), np.int8).reshape(count, SIDE, SIDE)
    wide = noise.astype(np.int64)
    for axis in (1, 1, 2, 2):  # twice (1, 2, 1) has the width of a Gaussian of one pixel
        wide = np.roll(wide, 1, axis) + 2 * wide + np.roll(wide, -1, axis)
    smooth = np.zeros_like(wide)
    inside = np.s_[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    smooth[inside] = (wide[inside] - np.rint(wide[inside].mean(axis=(1, 2), keepdims=True)).astype(np.int64)) // 256
    assert np.abs(smooth).sum(axis=(1, 2)).max() * 255 < 2**24, "every sum must be exact in float32, whatever its order"
    return smooth.reshape(count, -1).T.astype(np.float32)


WAVES = _waves()
