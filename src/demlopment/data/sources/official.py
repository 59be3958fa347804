"""The data sets that anybody can have: their files, where these lie, and what they must be. The only list of them.

MNIST      Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"; the address is the mirror that PyTorch
           keeps, the checksums are torchvision's (torchvision/datasets/mnist.py).
EMNIST     G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017.
QMNIST     C. Yadav, L. Bottou, "Cold case: the lost MNIST digits", 2019, https://github.com/facebookresearch/qmnist
"""

from collections.abc import Mapping
from dataclasses import dataclass

from demlopment.data.sources.packaged import MNIST_LICENCE


@dataclass(frozen=True)
class Part:
    """Pictures with their labels: one source."""

    name: str
    pictures: str
    labels: str
    mapping: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All of them by name."""
        return (self.pictures, self.labels, *([self.mapping] if self.mapping else []))


@dataclass(frozen=True)
class Official:
    """A data set as it is published."""

    folder: str  # below the downloads; sets of one download share it
    base: str  # what the address of each file begins with
    sums: Mapping[str, str]  # file that is fetched -> MD5
    licence: str
    parts: tuple[Part, ...]
    zipped: str | None = None  # the fetched file that holds the files of the parts, below this folder


def _emnist(kind: str) -> Official:
    parts = tuple(
        Part(
            f"emnist-{kind}-{side}",
            f"emnist-{kind}-{side}-images-idx3-ubyte.gz",
            f"emnist-{kind}-{side}-labels-idx1-ubyte.gz",
            f"emnist-{kind}-mapping.txt",
        )
        for side in ("train", "test")
    )
    return Official(
        "emnist",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        {"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
        "EMNIST, G. Cohen et al. 2017, from NIST Special Database 19, https://www.nist.gov/open/license",
        parts,
        zipped="gzip",
    )


OFFICIAL = {
    "mnist": Official(
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
        MNIST_LICENCE,
        (
            Part("mnist-train", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
            Part("mnist-test", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        ),
    ),
    "emnist-balanced": _emnist("balanced"),
    "emnist-letters": _emnist("letters"),
    "qmnist": Official(
        "qmnist",
        "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
        {
            "qmnist-train-images-idx3-ubyte.gz": "ed72d4157d28c017586c42bc6afe6370",
            "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
            "qmnist-test-images-idx3-ubyte.gz": "1394631089c404de565df7b7aeaf9412",
            "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
        },
        "QMNIST, C. Yadav and L. Bottou, BSD",
        (
            Part("qmnist-train", "qmnist-train-images-idx3-ubyte.gz", "qmnist-train-labels-idx2-int.gz"),
            Part("qmnist-test", "qmnist-test-images-idx3-ubyte.gz", "qmnist-test-labels-idx2-int.gz"),
        ),
    ),
}
NAMES = frozenset(part.name for official in OFFICIAL.values() for part in official.parts)
