"""What was exported is learnt on from, weight for weight, and what was not exported here is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from demlopment import settings
from demlopment.errors import ArchiveError
from demlopment.records import Epoch, Examples
from demlopment.training import Fitted, export, fit
from demlopment.training.checkpoint import load
from demlopment.training.network import initialised
from demlopment.training.weights import weights

RECIPE = settings.Training(epochs=2, batch_size=64)


class StoppedError(Exception):
    """Stops a fit where its first epoch ends."""


def stop(_: Epoch) -> None:
    raise StoppedError


@pytest.fixture(scope="module")
def few(train: Examples) -> Examples:
    return train.where(np.arange(200))


@pytest.fixture(scope="module")
def champion(fitted: Fitted) -> bytes:
    return export(fitted)


def test_every_weight_of_the_exported_network_comes_back_bit_for_bit(fitted: Fitted, champion: bytes) -> None:
    found = weights(champion, initialised(10, 99))

    expected = fitted.network.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items() if value.is_floating_point())


def test_a_fit_that_begins_with_the_champion_reads_better_at_once_than_one_that_begins_anew(
    few: Examples, validation: Examples, champion: bytes
) -> None:
    anew, warm = (fit(few, validation, 10, RECIPE, begin=begin) for begin in (None, champion))

    wrong, wrong_anew = (1 - each.curve[0].validation_accuracy for each in (warm, anew))
    assert wrong < wrong_anew / 2


def test_it_gives_the_same_weights_every_time_also_after_it_was_stopped(
    few: Examples, validation: Examples, champion: bytes, tmp_path: Path
) -> None:
    whole, path = fit(few, validation, 10, RECIPE, begin=champion), tmp_path / "fit.pt"
    with pytest.raises(StoppedError):
        fit(few, validation, 10, RECIPE, begin=champion, checkpoint=path, on_epoch=stop)

    resumed = fit(few, validation, 10, RECIPE, begin=champion, checkpoint=path)

    assert export(resumed) == export(whole)


def test_what_a_fit_left_that_began_otherwise_is_not_gone_on_from(
    few: Examples, validation: Examples, champion: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "fit.pt"
    with pytest.raises(StoppedError):
        fit(few, validation, 10, RECIPE, begin=champion, checkpoint=path, on_epoch=stop)
    left = load(path, torch.load(path, weights_only=True)["identity"])

    anew = fit(few, validation, 10, RECIPE, checkpoint=path)

    assert left is not None
    assert export(anew) == export(fit(few, validation, 10, RECIPE))


def without(champion: bytes, name: str) -> bytes:
    model = onnx.load_model_from_string(champion)
    kept = [each for each in model.graph.initializer if each.name != name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return bytes(model.SerializeToString())


def test_a_network_of_other_layers_or_classes_is_refused_with_the_weight(champion: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"has other layers: its layer1\.weight is none, not \(16, 1, 5, 5\)\. Fit without"):
        weights(without(champion, "layer1.weight"), initialised(10, 1))
    with pytest.raises(ArchiveError, match=r"its logits\.weight is \(10, 64\), not \(26, 64\)\. Fit without"):
        weights(champion, initialised(26, 1))
    with pytest.raises(ArchiveError, match=r"its layer1\.weight is \(16, 1, 5, 5\), not \(32, 1, 5, 5\)\. Fit without"):
        weights(champion, initialised(10, 1, "large"))


def test_what_is_no_network_is_refused_in_two_sentences() -> None:
    with pytest.raises(ArchiveError, match=r"^The network to begin with is not ONNX: .*\. Fit without training\.warm_start\.$"):
        weights(b"\xff" * 20, initialised(10, 1))
