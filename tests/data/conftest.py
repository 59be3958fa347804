"""The real digits, read once, and rows to spoil."""

import pytest

from demlopment.data.sources import RawRows, packaged_digits


@pytest.fixture(scope="session")
def digits() -> RawRows:
    """All 5,000 packaged digits as they were read."""
    return packaged_digits()


@pytest.fixture(scope="session")
def few(digits: RawRows) -> RawRows:
    """Every fiftieth digit: 100 rows, ten of each class."""
    return RawRows(digits.name, digits.sha256, digits.frame.gather_every(50))
