"""The digits and the network that these tests share."""

import pytest

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.evaluation import Reader, reader
from demlopment.training import Fitted, export
from tests.digits import digits, fitted, one_thread, train, unseen, validation

__all__ = ["digits", "fitted", "one_thread", "train", "unseen", "validation"]


@pytest.fixture(scope="session")
def read(fitted: Fitted) -> Reader:
    """A small network that reads well, as it would be served."""
    card = Card("digits", "1.0", tuple("0123456789"), images.VERSION, fitted.temperature, {}, {})
    return reader(Archive(card, export(fitted), {}, b""))
