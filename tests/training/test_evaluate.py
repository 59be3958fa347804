from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from demlopment.errors import DataError
from demlopment.records import Examples
from demlopment.scores import calibration_error, log_loss
from demlopment.training import Fitted, embed, evaluate
from demlopment.training.network import outputs


def made_up(seed: int, rows: int = 200, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = softmax(2 * rng.normal(size=(rows, classes)), axis=1).astype(np.float32)
    return probabilities, rng.integers(0, classes, rows)


def slow_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    total = 0.0
    for i in range(bins):
        rows = [
            (float(max(p)), int(np.argmax(p)) == y)
            for p, y in zip(probabilities, labels, strict=True)
            if min(int(float(max(p)) * bins), bins - 1) == i
        ]
        if rows:
            confidence, correct = np.mean([row[0] for row in rows]), np.mean([row[1] for row in rows])
            total += len(rows) / len(labels) * abs(confidence - correct)
    return total


def test_scores_hold_calibrated_probabilities_row_by_row(fitted: Fitted, unseen: Examples) -> None:
    scores = evaluate("digits 1.0", fitted, unseen)

    logits, _ = outputs(fitted.network, unseen.images)
    np.testing.assert_allclose(scores.probabilities, softmax(logits / fitted.temperature, axis=1), atol=1e-6)
    np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(scores.keys, unseen.keys)
    assert scores.model == "digits 1.0"
    assert scores.probabilities.dtype == np.float32


def test_a_fit_is_calibrated_to_a_few_points_on_rows_it_never_saw(fitted: Fitted, unseen: Examples) -> None:
    scores = evaluate("digits 1.0", fitted, unseen)

    assert scores.calibration_error < 0.03
    assert scores.log_loss < 0.2


def test_embeddings_are_the_layer_that_the_logits_are_made_of(fitted: Fitted, unseen: Examples) -> None:
    some = unseen.where(np.arange(20))

    embedding = embed(fitted, some)

    head = fitted.network.head
    logits = embedding @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(logits, outputs(fitted.network, some.images)[0], atol=1e-4)
    assert embedding.dtype == np.float32


@given(seed=st.integers(0, 1000), bins=st.integers(1, 20))
def test_calibration_error_is_what_the_slow_definition_says(seed: int, bins: int) -> None:
    probabilities, labels = made_up(seed, rows=60)

    assert calibration_error(probabilities, labels, bins) == pytest.approx(slow_calibration_error(probabilities, labels, bins))


def test_a_calibrated_model_reads_near_zero_and_an_overconfident_one_reads_its_excess() -> None:
    rng = np.random.default_rng(1)
    sure = np.full((20_000, 2), [0.9, 0.1], np.float32)
    labels = (rng.random(20_000) > 0.9).astype(np.int64)

    assert calibration_error(sure, labels) < 0.01
    assert calibration_error(sure, (rng.random(20_000) > 0.6).astype(np.int64)) == pytest.approx(0.3, abs=0.02)


def test_log_loss_is_that_of_the_true_classes_and_finite_even_for_a_certain_mistake() -> None:
    probabilities, labels = made_up(3)

    assert log_loss(probabilities, labels) == pytest.approx(-np.mean(np.log(probabilities[np.arange(200), labels])), rel=1e-5)
    assert 10 < log_loss(np.array([[1.0, 0.0]], np.float32), np.array([1])) < 20


def test_nothing_to_evaluate_on_is_refused(fitted: Fitted, unseen: Examples) -> None:
    with pytest.raises(DataError, match=r"no examples to evaluate digits 1\.0 on"):
        evaluate("digits 1.0", fitted, unseen.where(np.arange(0)))


def test_a_label_that_the_network_has_no_output_for_is_refused(fitted: Fitted, unseen: Examples) -> None:
    letters = replace(unseen, labels=unseen.labels + 1)

    with pytest.raises(DataError, match=r"label 10, and its classes are 0 to 9"):
        evaluate("digits 1.0", fitted, letters)
