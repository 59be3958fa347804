from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from demlopment import settings
from demlopment.errors import DataError
from demlopment.intervals import wilson
from demlopment.records import Epoch, Examples
from demlopment.training import Fitted, evaluate, fit
from demlopment.training.network import outputs

QUICK = settings.Training(epochs=2)


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    return dict(fitted.network.state_dict())


def relabelled(examples: Examples, labels: np.ndarray) -> Examples:
    return replace(examples, labels=labels)


@pytest.fixture
def few(train: Examples) -> Examples:
    return train.where(np.arange(200))


@pytest.fixture
def own_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)  # neither the recipe's nor one
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("threads", "profile"), [(1, "default"), (2, "default"), (1, "large")])
def test_two_fits_give_the_same_weights_bit_for_bit(
    few: Examples, validation: Examples, threads: int, profile: settings.Profile
) -> None:
    recipe = settings.Training(epochs=1, batch_size=64, threads=threads, profile=profile)

    first = fit(few, validation, 10, recipe)
    torch.rand(7)  # whatever the process draws in between
    again = fit(few, validation, 10, recipe)

    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(first).items())
    assert (first.temperature, first.curve) == (again.temperature, again.curve)


def test_another_seed_gives_other_weights(few: Examples, validation: Examples) -> None:
    first, other = (fit(few, validation, 10, QUICK.model_copy(update={"seed": seed, "epochs": 1})) for seed in (1, 2))

    assert not torch.equal(first.network.head.weight, other.network.head.weight)


@pytest.mark.usefixtures("own_threads")
def test_the_process_keeps_its_random_state_and_its_threads(few: Examples, validation: Examples) -> None:
    before = torch.get_rng_state()

    fit(few, validation, 10, settings.Training(epochs=1, threads=1))

    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == 3
    assert not torch.are_deterministic_algorithms_enabled()


def test_one_batch_can_be_learnt_by_heart(train: Examples) -> None:
    one_of_each = [int(np.flatnonzero(train.labels == label)[0]) for label in range(10)]
    batch = train.where(np.array(one_of_each + [row for row in range(30) if row not in one_of_each]))

    learnt = fit(batch, batch, 10, settings.Training(epochs=80, batch_size=len(batch)))

    assert learnt.curve[-1].validation_accuracy == 1.0
    assert learnt.curve[-1].validation_loss < 0.3 < learnt.curve[0].validation_loss


def test_labels_without_meaning_teach_nothing_about_other_rows(few: Examples, validation: Examples) -> None:
    shuffled = relabelled(few, np.random.default_rng(1).permutation(few.labels))

    learnt = fit(shuffled, validation, 10, QUICK)

    assert learnt.curve[-1].validation_accuracy < 0.3


def test_each_epoch_is_told_as_it_ends_and_kept_in_the_curve(few: Examples, validation: Examples) -> None:
    heard: list[Epoch] = []

    learnt = fit(few, validation, 10, settings.Training(epochs=3), on_epoch=heard.append)

    assert tuple(heard) == learnt.curve
    assert len(heard) == 3
    assert heard[2].train_loss < heard[0].train_loss
    assert learnt.seconds > 0


def test_a_thousand_digits_teach_to_read_at_least_95_in_a_hundred(fitted: Fitted, unseen: Examples) -> None:
    scores = evaluate("digits 1.0", fitted, unseen)

    assert wilson(int(scores.correct.sum()), len(unseen)).low > 0.95


def test_a_shift_by_one_pixel_changes_few_answers(fitted: Fitted, unseen: Examples) -> None:
    before = outputs(fitted.network, unseen.images)[0].argmax(axis=1)

    agreement = [
        float(np.mean(before == outputs(fitted.network, np.roll(unseen.images, step, axis))[0].argmax(axis=1)))
        for axis in (1, 2)
        for step in (-1, 1)
    ]

    assert min(agreement) > 0.96


def test_the_temperature_makes_the_validation_labels_likelier_than_none(fitted: Fitted, validation: Examples) -> None:
    calibrated = evaluate("digits 1.0", fitted, validation)
    raw = evaluate("digits 1.0", Fitted(fitted.network, 1.0, fitted.curve, fitted.seconds), validation)

    assert calibrated.log_loss < raw.log_loss
    assert raw.log_loss == pytest.approx(fitted.curve[-1].validation_loss, rel=1e-3)
    np.testing.assert_array_equal(calibrated.predicted, raw.predicted)


def test_two_classes_are_enough_and_one_row_of_each_is_not_too_few(train: Examples, validation: Examples) -> None:
    binary = relabelled(train, (train.labels > 4).astype(np.int64))
    rows = binary.where(np.array([int(np.argmin(binary.labels)), int(np.argmax(binary.labels))]))
    labels = (validation.labels > 4).astype(np.int64)

    learnt = fit(rows, relabelled(validation, labels), 2, settings.Training(epochs=1))

    assert learnt.network.head.out_features == 2


def test_an_empty_part_is_refused_by_its_name(few: Examples, validation: Examples) -> None:
    nothing = few.where(np.arange(0))

    with pytest.raises(DataError, match="training part is empty"):
        fit(nothing, validation, 10, QUICK)
    with pytest.raises(DataError, match="validation part is empty"):
        fit(few, nothing, 10, QUICK)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_outside_the_classes_is_refused_with_its_value(few: Examples, validation: Examples, label: int) -> None:
    strange = few.labels.copy()
    strange[3] = label

    with pytest.raises(DataError, match=f"training part has the label {label}, and the classes are 0 to 9"):
        fit(relabelled(few, strange), validation, 10, QUICK)
    with pytest.raises(DataError, match=f"validation part has the label {label}"):
        fit(few, relabelled(few, strange), 10, QUICK)


def test_a_class_without_training_rows_is_refused(few: Examples, validation: Examples) -> None:
    without_seven = few.where(few.labels != 7)

    with pytest.raises(DataError, match="no example of class 7"):
        fit(without_seven, validation, 10, QUICK)


def test_a_class_with_three_training_rows_is_learnt_with_the_others(train: Examples, validation: Examples) -> None:
    sevens = np.flatnonzero(train.labels == 7)
    rare = train.where(np.setdiff1d(np.arange(400), sevens[3:]))
    assert np.sum(rare.labels == 7) == 3

    fitted = fit(rare, validation, 10, settings.Training(epochs=12))

    scores = evaluate("digits 1.0", fitted, validation)
    assert scores.probabilities.shape == (len(validation), 10)
    assert scores.correct[validation.labels != 7].mean() > 0.8, "a rare class does not spoil the others"


def test_one_class_is_nothing_to_tell_apart(few: Examples) -> None:
    zeros = few.where(few.labels == 0)

    with pytest.raises(DataError, match="number of classes is 1"):
        fit(zeros, zeros, 1, QUICK)


def test_a_loss_that_leaves_the_numbers_is_refused_with_its_epoch(few: Examples, validation: Examples) -> None:
    with pytest.raises(DataError, match=r"no longer finite in epoch 1.*Lower training\.learning_rate"):
        fit(few, validation, 10, settings.Training(epochs=1, learning_rate=1e38))
