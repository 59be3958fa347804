"""The picture that an archive has for a first request."""

import numpy as np

from demlopment.lifecycle.packing import exemplar
from demlopment.records import Scores

LABELS = np.array([3, 7, 2, 4, 4])


def scores(*confidences: float, predicted: tuple[int, ...] = (3, 1, 2, 4, 4)) -> Scores:
    rest = (1 - np.array(confidences)) / 9
    probabilities = np.repeat(rest[:, None], 10, axis=1).astype(np.float32)
    probabilities[np.arange(len(LABELS)), predicted] = confidences
    return Scores("digits 1.0", LABELS.astype(str), LABELS, probabilities, 0.1, 0.01)


def test_the_picture_for_a_first_request_is_read_rightly_and_surely() -> None:
    assert exemplar(scores(0.6, 0.9999, 0.99, 0.95, 0.98)) == 2


def test_it_is_the_same_where_another_processor_makes_another_one_the_surest() -> None:
    here = scores(0.6, 0.9, 0.9992, 0.95, 0.9993)
    there = scores(0.6, 0.9, 0.9994, 0.95, 0.9991)

    assert here.probabilities.max(axis=1).argmax() != there.probabilities.max(axis=1).argmax()
    assert exemplar(here) == 2
    assert exemplar(there) == 2


def test_a_model_that_reads_nothing_rightly_shows_what_it_is_surest_of() -> None:
    assert exemplar(scores(0.6, 0.7, 0.5, 0.9, 0.8, predicted=(0, 0, 0, 0, 0))) == 3
