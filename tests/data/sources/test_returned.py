"""Rows that came back from production."""

import numpy as np
import pytest

from demlopment.data.sources import returned
from demlopment.errors import DataError


def test_rows_that_came_back_keep_the_request_that_brought_them() -> None:
    pictures = np.arange(2 * 784).reshape(2, 28, 28).astype(np.uint8)

    rows = returned(pictures, ["3", "4"], ["a", "b"])

    assert rows.frame["origin"].to_list() == ["a", "b"]
    assert rows.frame["source"].to_list() == ["feedback", "feedback"]
    assert rows.frame["image"][1] == pictures[1].tobytes()
    assert len(returned(np.zeros((0, 28, 28), np.uint8), [], []).frame) == 0


def test_feedback_whose_lists_differ_in_length_is_refused() -> None:
    with pytest.raises(DataError, match="2 pictures, 1 labels and 2 request ids"):
        returned(np.zeros((2, 28, 28), np.uint8), ["1"], ["a", "b"])
