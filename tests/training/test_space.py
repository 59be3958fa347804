"""A search space names settings, and stays within what they take."""

from pathlib import Path
from typing import Any

import pytest

from demlopment.errors import DataError
from demlopment.settings import Training
from demlopment.training.space import SPACE, Choice, Range, parsed, read, recipe


def test_the_default_space_is_one_that_could_be_written(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        "learning_rate = { low = 5e-4, high = 2e-2, log = true }\n"
        "label_smoothing = { low = 0.0, high = 0.2 }\n"
        "[batch_size]\nlow = 16\nhigh = 128\nlog = true\n"
    )

    assert read(file) == SPACE
    assert parsed({name: each.table() for name, each in SPACE.items()}) == SPACE
    assert parsed({"batch_size": {"choices": [16, 32]}}) == {"batch_size": Choice((16, 32))}
    assert parsed({"augmentation": {"low": 0.25, "high": 1}}) == {"augmentation": Range(0.25, 1.0)}


def test_the_ends_of_a_range_are_of_the_kind_that_the_setting_is() -> None:
    space = parsed({"batch_size": {"low": 16, "high": 64.0}, "label_smoothing": {"low": 0, "high": 0.5}})

    assert repr(space["batch_size"]) == "Range(low=16, high=64, log=False)"
    assert repr(space["label_smoothing"]) == "Range(low=0.0, high=0.5, log=False)"
    assert repr(parsed({"batch_size": {"choices": [16, "32"]}})["batch_size"]) == "Choice(values=(16, 32))"


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({}, "is empty"),
        ({"learning_rat": {"low": 1, "high": 2}}, "does not vary training.learning_rat.*It varies.*learning_rate"),
        ({"epochs": {"low": 1, "high": 2}}, "does not vary training.epochs"),
        ({"learning_rate": 0.1}, "learning_rate has no range: 0.1"),
        ({"learning_rate": {"low": 0.2, "high": 0.1}}, "has no range"),
        ({"label_smoothing": {"low": 0.0, "high": 0.1, "log": True}}, "has no range"),
        ({"learning_rate": {"low": 0.1, "high": 0.2, "step": 2}}, "has no range"),
        ({"batch_size": {"choices": [16]}}, "has no range"),
        ({"batch_size": {"choices": [16, 16]}}, "has no range"),
        ({"batch_size": {"choices": [16, "16"]}}, "has no range"),
        ({"demo_epochs": {"low": 1, "high": 2}}, "does not vary training.demo_epochs"),
        ({"profile": {"choices": ["default", "large"]}}, "does not vary training.profile"),
        ({"studies": {"choices": ["a", "b"]}}, "does not vary training.studies"),
        ({"batch_size": {"choices": [16, 1]}}, "training.batch_size cannot be 1"),
        ({"batch_size": {"low": 16.5, "high": 32.5}}, "training.batch_size cannot be 16.5"),
        ({"label_smoothing": {"low": 0.0, "high": 1.0}}, "training.label_smoothing cannot be 1.0"),
    ],
)
def test_what_cannot_be_searched_is_named(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        parsed(tables)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for text in (None, b"learning_rate = ", b"\xff", b"epochs = 3"):
        file = tmp_path / "space.toml"
        if text is not None:
            file.write_bytes(text)

        with pytest.raises(DataError, match=r"space\.toml"):
            read(file)


def test_a_recipe_is_the_base_but_for_what_was_searched() -> None:
    base = Training(epochs=3, seed=9)

    assert recipe(base, {"batch_size": 16}) == base.model_copy(update={"batch_size": 16})
    with pytest.raises(DataError, match=r"training\.strength cannot be 3: Extra"):
        recipe(base, {"strength": 3})
    assert str(Range(1e-3, 0.1, log=True)) == "0.001 to 0.1 in the logarithm"
    assert str(Choice((1, 2))) == "one of 1, 2"
