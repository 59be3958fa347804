"""A fit that was killed: what it leaves, and what the next one makes of it."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from demlopment import settings
from demlopment.errors import HomeError
from demlopment.records import Epoch, Examples
from demlopment.training import Fitted, fit
from demlopment.training.checkpoint import identity_of, load, save
from tests.lifecycle.test_full_disk import disk, fill

__all__ = ["disk"]

RECIPE = settings.Training(epochs=3, batch_size=64)
KILLED = """
import os, signal, sys
import numpy as np
from demlopment import settings
from demlopment.records import Examples
from demlopment.training import checkpoint, fit

rows, kept, moment, epoch = sys.argv[1:]
parts = np.load(rows)
train, validation = (
    Examples(np.arange(len(parts[f"{name}_labels"])).astype(str), parts[name], parts[f"{name}_labels"],
             np.full(len(parts[name]), ""), np.full(len(parts[name]), "")) for name in ("train", "validation")
)
heard, save = [], checkpoint.save

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def keep(*arguments):
    if moment == "before" and len(heard) + 1 == int(epoch):
        die()
    save(*arguments)

def hear(measured):
    heard.append(measured)
    if moment == "after" and len(heard) == int(epoch):
        die()

checkpoint.save = keep
fit(train, validation, 10, settings.Training(epochs=3, batch_size=64), on_epoch=hear, checkpoint=checkpoint.Path(kept))
"""


class StoppedError(Exception):
    """Stops a fit where an epoch ends."""


def stop_after(epochs: int, train: Examples, validation: Examples, path: Path, recipe: settings.Training = RECIPE) -> None:
    heard: list[Epoch] = []

    def hear(epoch: Epoch) -> None:
        heard.append(epoch)
        if len(heard) == epochs:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(train, validation, 10, recipe, on_epoch=hear, checkpoint=path)


def assert_same(one: Fitted, other: Fitted) -> None:
    theirs = other.network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in one.network.state_dict().items())
    assert (one.temperature, one.curve) == (other.temperature, other.curve)


@pytest.fixture(scope="module")
def few(train: Examples) -> Examples:
    return train.where(np.arange(200))


@pytest.fixture(scope="module")
def whole(few: Examples, validation: Examples) -> Fitted:
    """The fit that nobody stops."""
    return fit(few, validation, 10, RECIPE)


@pytest.mark.parametrize(("moment", "epoch"), [("after", 1), ("before", 2), ("after", 3)])
def test_a_fit_that_was_killed_and_goes_on_ends_with_the_same_weights_bit_for_bit(
    few: Examples, validation: Examples, whole: Fitted, tmp_path: Path, moment: str, epoch: int
) -> None:
    rows, path = tmp_path / "rows.npz", tmp_path / "fit.pt"
    np.savez(rows, train=few.images, train_labels=few.labels, validation=validation.images, validation_labels=validation.labels)
    command = [sys.executable, "-c", KILLED, str(rows), str(path), moment, str(epoch)]
    killed = subprocess.run(command, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    left = load(path, identity_of_left(path))
    heard: list[Epoch] = []

    resumed = fit(few, validation, 10, RECIPE, on_epoch=heard.append, checkpoint=path)

    assert killed.returncode == -signal.SIGKILL
    assert left is not None
    assert len(left["curve"]) == (epoch if moment == "after" else epoch - 1)
    assert_same(resumed, whole)
    assert tuple(heard) == whole.curve


def test_a_fit_that_drops_out_goes_on_with_what_it_would_have_dropped(
    few: Examples, validation: Examples, tmp_path: Path
) -> None:
    recipe = RECIPE.model_copy(update={"profile": "large", "epochs": 2})

    def stop(_: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(few, validation, 10, recipe, on_epoch=stop, checkpoint=tmp_path / "fit.pt")
    resumed = fit(few, validation, 10, recipe, checkpoint=tmp_path / "fit.pt")

    assert_same(resumed, fit(few, validation, 10, recipe))


def identity_of_left(path: Path) -> str:
    return str(torch.load(path, weights_only=True)["identity"])


def test_a_fit_that_goes_on_does_not_learn_its_first_epochs_again(
    few: Examples, validation: Examples, whole: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kept = tmp_path / "fit.pt", list[int]()
    stop_after(2, few, validation, path)
    monkeypatch.setattr("demlopment.training.checkpoint.save", lambda _path, _identity, state: kept.append(len(state["curve"])))

    resumed = fit(few, validation, 10, RECIPE, checkpoint=path)

    assert kept == [3]
    assert_same(resumed, whole)


def test_a_fit_that_ended_is_there_until_somebody_removes_it_and_learns_nothing_again(
    few: Examples, validation: Examples, whole: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kept = tmp_path / "new" / "fit.pt", list[int]()
    fitted = fit(few, validation, 10, RECIPE, checkpoint=path)
    monkeypatch.setattr("demlopment.training.checkpoint.save", lambda _path, _identity, state: kept.append(len(state["curve"])))

    again = fit(few, validation, 10, RECIPE, checkpoint=path)

    assert_same(fitted, whole)
    assert_same(again, whole)
    assert kept == []
    assert [each.name for each in path.parent.iterdir()] == ["fit.pt"]


@pytest.mark.parametrize("difference", ["seed", "epochs", "profile", "augmentation", "a pixel", "a label", "the order"])
def test_what_another_fit_left_is_not_gone_on_from(
    few: Examples, validation: Examples, whole: Fitted, tmp_path: Path, difference: str
) -> None:
    path, recipe, rows = tmp_path / "fit.pt", RECIPE, few
    if difference in ("seed", "epochs"):
        recipe = RECIPE.model_copy(update={difference: 2})
    elif difference in ("profile", "augmentation"):
        recipe = RECIPE.model_copy(update={difference: {"profile": "large", "augmentation": 0.5}[difference]})
    elif difference == "a pixel":
        rows = replace(few, images=few.images.copy())
        rows.images[17, 14, 14] ^= 1
    elif difference == "a label":
        rows = replace(few, labels=few.labels.copy())
        rows.labels[17] = (rows.labels[17] + 1) % 10
    else:
        rows = few.where(np.arange(200)[::-1])
    stop_after(1, rows, validation, path, recipe)

    assert_same(fit(few, validation, 10, RECIPE, checkpoint=path), whole)


class Command:
    """What a checkpoint would hold that runs a program when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 half a file", pickle.dumps({"identity": 1}), pickle.dumps(Command())], ids=range(4)
)
def test_a_file_that_is_no_checkpoint_is_refused_in_two_sentences_and_kept(
    few: Examples, validation: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = tmp_path / "fit.pt"
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(HomeError, match=r"fit\.pt is no checkpoint of a fit: .*\. Remove it: the fit then starts anew\.$"):
        fit(few, validation, 10, RECIPE, checkpoint=path)

    assert path.read_bytes() == content
    assert not (tmp_path / "owned").exists()


def test_a_disk_that_fills_up_at_a_checkpoint_is_named_and_the_one_before_is_gone_on_from(
    few: Examples, validation: Examples, whole: Fitted, disk: Path
) -> None:
    path, filled = disk / "fit.pt", list[Path]()

    with pytest.raises(HomeError, match=r"fit\.pt.*No space left on device") as refused:
        fit(few, validation, 10, RECIPE, checkpoint=path, on_epoch=lambda _: filled.append(fill(disk)))
    left = load(path, identity_of_left(path))
    filled[0].unlink()

    assert refused.value.remedy.endswith(".")
    assert left is not None
    assert len(left["curve"]) == len(filled) == 1
    assert [each.name for each in disk.iterdir()] == ["fit.pt"]
    assert_same(fit(few, validation, 10, RECIPE, checkpoint=path), whole)


def test_a_half_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    save(path, "mine", {"curve": [[1.0, 2.0, 3.0]], "network": {"weight": torch.rand(10_000)}})
    path.write_bytes(path.read_bytes()[:20_000])

    with pytest.raises(HomeError, match="is no checkpoint of a fit"):
        load(path, "mine")


def test_what_is_kept_comes_back_to_the_fit_that_kept_it_alone(tmp_path: Path) -> None:
    path, weight = tmp_path / "fit.pt", torch.rand(2, 3)
    save(path, "mine", {"curve": [[0.1, 0.2, 0.3]], "weight": weight})

    mine, others, nothing = load(path, "mine"), load(path, "another's"), load(tmp_path / "none.pt", "mine")

    assert mine is not None
    assert torch.equal(mine["weight"], weight)
    assert mine["curve"] == [[0.1, 0.2, 0.3]]
    assert others is None
    assert nothing is None


def test_an_identity_tells_where_a_part_ends() -> None:
    assert identity_of("ab", "c") != identity_of("a", "bc")
    assert identity_of("ab", "c") == identity_of("ab", "c")
