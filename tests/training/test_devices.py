"""The device that a setting means, and that the default one learns as a plain loop on the processor does, bit for bit."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from math import cos, pi
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # the name that PyTorch's readers expect

from demlopment import settings
from demlopment.errors import SettingsError
from demlopment.records import Examples
from demlopment.training import evaluate, fit
from demlopment.training.augment import augment
from demlopment.training.course import Course
from demlopment.training.devices import chosen, precision, present
from demlopment.training.network import Network, as_tensor, initialised

RECIPE = settings.Training(epochs=2, batch_size=64)
OTHER: Any = "meta"  # a device without numbers, which every torch has


def plain_fit(train: Examples, recipe: settings.Training) -> Network:
    """What a fit does, written down without devices, checkpoints or precision: the oracle."""
    network = initialised(10, recipe.seed).train()
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, fused=True)
    generator = torch.Generator().manual_seed(recipe.seed)
    labels, batches, step = torch.from_numpy(train.labels), len(train) // recipe.batch_size, 0
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(train), generator=generator).tensor_split(batches):
            step += 1
            done = step / (recipe.epochs * batches)
            pace = done / 0.15 if done < 0.15 else 0.3 + 0.7 * (1 + cos(pi * (done - 0.15) / 0.85)) / 2
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * pace
            logits, _ = network(augment(as_tensor(train.images[rows.numpy()]), generator))
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(theirs, 10 / (10 + step))
    return average.eval()


def assert_same(one: Network, other: Network) -> None:
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items() if value.is_floating_point())


@pytest.fixture(scope="module")
def few(train: Examples) -> Examples:
    return train.where(np.arange(256))


def test_the_default_device_learns_what_a_plain_loop_learns_bit_for_bit(few: Examples, validation: Examples) -> None:
    torch.use_deterministic_algorithms(mode=True)
    try:
        expected = plain_fit(few, RECIPE)
    finally:
        torch.use_deterministic_algorithms(mode=False)

    assert_same(fit(few, validation, 10, RECIPE).network, expected)
    assert RECIPE.device == "cpu"


def test_the_processor_computes_in_float32() -> None:
    assert isinstance(precision("cpu"), nullcontext)
    assert isinstance(precision("mps"), nullcontext)


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        ("cpu", ("cuda", "cpu"), "cpu"),
        ("cuda", ("cuda", "cpu"), "cuda"),
        ("mps", ("mps", "cpu"), "mps"),
        ("auto", ("cuda", "cpu"), "cuda"),
        ("auto", ("mps", "cpu"), "mps"),
        ("auto", ("cpu",), "cpu"),
    ],
)
def test_the_device_is_the_one_that_was_named_and_auto_is_the_fastest_there(
    wanted: Any, there: Sequence[settings.Device], expected: str
) -> None:
    assert chosen(wanted, there) == expected


@pytest.mark.parametrize(("wanted", "there"), [("cuda", ("cpu",)), ("mps", ("cuda", "cpu")), ("cuda", ("mps", "cpu"))])
def test_a_device_that_is_not_there_is_refused_in_two_sentences_with_what_is(
    wanted: Any, there: Sequence[settings.Device]
) -> None:
    with pytest.raises(SettingsError) as refused:
        chosen(wanted, there)

    assert refused.value.problem.startswith(f"training.device is {wanted}, and torch {torch.__version__} finds ")
    assert refused.value.problem.endswith(f" finds {' and '.join(there)} on this machine.")
    assert refused.value.remedy.startswith(f"Set it to {there[0]} or auto, or ")


def test_a_fit_on_a_device_that_is_not_there_learns_nothing(few: Examples, validation: Examples) -> None:
    absent = [device for device in ("cuda", "mps") if device not in present()]
    assert absent, "no machine has both"

    with pytest.raises(SettingsError, match=f"training.device is {absent[0]}"):
        fit(few, validation, 10, RECIPE.model_copy(update={"device": absent[0]}))


def test_what_auto_learned_on_another_device_is_another_fit_to_a_checkpoint() -> None:
    automatic = RECIPE.model_copy(update={"device": "auto"})

    assert Course(10, automatic, "cpu").description != Course(10, automatic, OTHER).description


def test_the_network_is_on_the_device_and_chance_stays_on_the_processor() -> None:
    away, here = Course(10, RECIPE, OTHER), Course(10, RECIPE, "cpu")

    assert {value.device.type for value in away.network.state_dict().values()} == {OTHER}
    assert torch.equal(away.generator.get_state(), here.generator.get_state())


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_learns_to_read_as_the_processor_does(
    train: Examples, validation: Examples, unseen: Examples, device: settings.Device
) -> None:
    if device not in present():
        pytest.skip(f"torch finds no {device} here: use a machine that has it, and the torch for it")
    recipe = settings.Training(epochs=12)

    here, there = (fit(train, validation, 10, recipe.model_copy(update={"device": each})) for each in ("cpu", device))

    assert next(there.network.parameters()).device.type == "cpu", "what is archived does not need the accelerator"
    assert evaluate("there", there, unseen).accuracy > evaluate("here", here, unseen).accuracy - 0.02
