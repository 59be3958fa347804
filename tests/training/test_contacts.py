"""The contact sheet shows the very pictures that training has, and drawing it changes no fit."""

import numpy as np
import torch

from demlopment import settings
from demlopment.records import Examples
from demlopment.training import fit
from demlopment.training.augment import augment
from demlopment.training.contacts import MOST_ROWS, VERSIONS, contact_sheet
from demlopment.training.network import as_tensor


def first_of_each(examples: Examples) -> list[int]:
    labels = examples.labels.tolist()
    return [labels.index(label) for label in sorted(set(labels))]


def test_the_first_column_is_the_first_training_picture_of_each_class(train: Examples) -> None:
    sheet = contact_sheet(train, settings.Training(seed=1))

    assert sheet.shape == (10, 1 + VERSIONS, 28, 28)
    assert sheet.dtype == np.uint8
    np.testing.assert_array_equal(sheet[:, 0], train.images[first_of_each(train)])


def test_the_others_are_what_the_augmentation_of_a_fit_makes_of_it(train: Examples) -> None:
    originals = [image for row in first_of_each(train) for image in [train.images[row]] * VERSIONS]

    made = augment(as_tensor(np.stack(originals)), torch.Generator().manual_seed(7))

    shown = contact_sheet(train, settings.Training(seed=7))[:, 1:].reshape(-1, 28, 28)
    assert np.abs(shown - 255 * made.squeeze(1).numpy()).max() <= 0.5 + 1e-3
    assert len({each.tobytes() for each in shown}) == len(shown), "no two versions are alike"
    assert all((version != original).any() for version, original in zip(shown, originals, strict=True))


def test_a_recipe_with_less_augmentation_shows_less_of_it(train: Examples) -> None:
    whole, half, none = (contact_sheet(train, settings.Training(augmentation=share)).astype(float) for share in (1, 0.5, 0))

    far, near, nowhere = (float(np.abs(each[:, 1:] - each[:, :1]).mean()) for each in (whole, half, none))

    assert far > 1.3 * near > 10 * nowhere
    assert nowhere < 0.01, "but for the rounding of an interpolation"


def test_a_seed_gives_one_sheet_and_another_seed_another(train: Examples) -> None:
    first, again, other = (contact_sheet(train, settings.Training(seed=seed)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:, 0], other[:, 0])
    assert (first[:, 1:] != other[:, 1:]).any()


def test_drawing_it_changes_no_weight_and_no_row(train: Examples, validation: Examples) -> None:
    few, recipe = train.where(np.arange(200)), settings.Training(epochs=1)
    pictures, chance = few.images.copy(), torch.get_rng_state()
    before = fit(few, validation, 10, recipe).network.state_dict()

    contact_sheet(few, recipe)

    after = fit(few, validation, 10, recipe).network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), chance)
    np.testing.assert_array_equal(few.images, pictures)


def test_of_many_classes_the_first_ones_are_shown(train: Examples) -> None:
    many = Examples(train.keys, train.images, np.arange(len(train)) % 26, train.sources, train.writers)

    sheet = contact_sheet(many, settings.Training())

    assert len(sheet) == MOST_ROWS
    np.testing.assert_array_equal(sheet[:, 0], many.images[:MOST_ROWS])
