"""An archive is scored as the network in it, by the names of its classes."""

from dataclasses import replace

import numpy as np
import pytest

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.errors import DataError
from demlopment.evaluation import evaluate_archive
from demlopment.records import Examples
from demlopment.training import Fitted, evaluate, export


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> Archive:
    card = Card("digits", "1.0", tuple("0123456789"), images.VERSION, fitted.temperature, {}, {})
    return Archive(card, export(fitted), {}, b"")


def test_an_archive_scores_as_the_network_that_was_exported_into_it(model: Archive, fitted: Fitted, unseen: Examples) -> None:
    scores = evaluate_archive(model, unseen, model.card.classes)

    direct = evaluate("digits 1.0", fitted, unseen)
    np.testing.assert_allclose(scores.probabilities, direct.probabilities, atol=1e-5)
    np.testing.assert_array_equal(scores.predicted, direct.predicted)
    assert scores.model == "digits 1.0"


@pytest.mark.parametrize("classes", ["9876543210", "0123456789ABC", "A9B876543210"])
def test_a_model_is_scored_by_the_names_of_its_classes_whatever_their_order(
    model: Archive, unseen: Examples, classes: str
) -> None:
    renamed = replace(unseen, labels=np.array([classes.index(str(label)) for label in unseen.labels]))

    scores, direct = evaluate_archive(model, renamed, tuple(classes)), evaluate_archive(model, unseen, model.card.classes)

    assert [classes[label] for label in scores.predicted] == [str(label) for label in direct.predicted]
    assert scores.log_loss == pytest.approx(direct.log_loss)
    assert scores.probabilities.shape == (len(unseen), len(classes))


def test_a_model_that_knows_more_classes_than_the_examples_may_answer_them(model: Archive, unseen: Examples) -> None:
    some = unseen.where(unseen.labels < 5)

    scores = evaluate_archive(model, some, tuple("43210"))

    assert scores.probabilities.shape == (len(some), 10)


def test_an_archive_without_examples_is_refused(model: Archive, unseen: Examples) -> None:
    with pytest.raises(DataError, match=r"no examples to evaluate digits 1\.0 on"):
        evaluate_archive(model, unseen.where(np.arange(0)), model.card.classes)
