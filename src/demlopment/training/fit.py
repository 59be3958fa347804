"""Fit a network to examples: one loop, the same weights bit for bit every time. Knows nothing of files or of the gate.

Randomness has two explicit sources that both start from the recipe's seed: the initial weights, and one generator for
the order of the rows, the augmentation and the dropout. What is kept is a running average of the weights, which reads
better than the last step's and needs no early stop. A fit that was killed goes on from its last epoch
and ends with the same weights.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, isfinite, pi
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that PyTorch's readers expect

from demlopment import settings
from demlopment.errors import DataError, SettingsError
from demlopment.records import Epoch, Examples
from demlopment.training import checkpoint as checkpoints
from demlopment.training import devices
from demlopment.training.augment import augment
from demlopment.training.course import Course
from demlopment.training.network import Network, as_tensor, outputs, threads
from demlopment.training.team import ALONE, Team, together
from demlopment.training.temperature import cross_entropy, likeliest

WARM_UP = 0.15  # share of the steps in which the learning rate rises, while the normalisation finds its statistics
LEAST_PACE = (
    0.3  # of the learning rate, at the end: the weights still move, and their average reads better than where they stand
)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network in evaluation mode and how it came to be."""

    network: Network
    temperature: float  # logits are divided by it before the softmax; fitted on the validation part
    curve: tuple[Epoch, ...]
    seconds: float  # wall clock


def fit(
    train: Examples,
    validation: Examples,
    classes: int,
    recipe: settings.Training,
    *,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    checkpoint: Path | None = None,
    begin: bytes | None = None,
    team: Team = ALONE,
) -> Fitted:
    """A network fitted to `train`; `validation` is used for the curve and the temperature, never for the weights.

    Two calls with equal arguments on one machine give equal weights, bit for bit, on the processor. The process's random
    state and thread settings are the same afterwards. `on_epoch` is told of each epoch as it ends.
    `checkpoint` is a file that holds the state after each epoch, until whoever is done with the network removes it. If one
    is there that this very fit left, it goes on from there, and after its last epoch costs nothing: `on_epoch` hears the
    epochs before again, and the weights are the same.
    `begin` is a network as `export` wrote it, for the same number of classes: the fit begins with its weights.
    `team` are the processes that fit it together; this one leads them, and all others `join`. Each learns from its part of
    every batch, so the weights are those of one process but for the order of sums.
    Raises DataError for an empty part, a label outside the classes, a class without training rows, or a loss that is
    no longer finite; SettingsError for a device that is not there, or more processes than a batch has rows; ArchiveError
    for a network to begin with that has other layers; HomeError for a checkpoint that is damaged or cannot be written;
    NotReadyError if another process of the team is gone.
    """
    _refuse_unfit(train, validation, classes)
    _refuse_idle(team, min(len(train), recipe.batch_size))
    started = time.perf_counter()
    device = devices.chosen(recipe.device)
    with threads(recipe.threads), _deterministic(device):
        course = Course(classes, recipe, device, begin, team.size)
        identity = checkpoints.identity_of(train, validation, *course.description)
        kept = None if checkpoint is None else checkpoints.load(checkpoint, identity)
        if kept is not None:
            course.restore(kept)
        for epoch in course.curve:
            on_epoch(epoch)
        with together(team):
            team.tell((train, classes, recipe, course.state()))
            for train_loss in _epochs(course, train, team):
                course.curve.append(_measured(course.average, validation, train_loss, len(course.curve) + 1))
                if checkpoint is not None:
                    checkpoints.save(checkpoint, identity, course.state())
                on_epoch(course.curve[-1])
        temperature = likeliest(outputs(course.average.cpu(), validation.images)[0], validation.labels)
    return Fitted(course.average, temperature, tuple(course.curve), time.perf_counter() - started)


def join(team: Team) -> None:
    """Take part in the fits of the process that leads until it says that there are no more.

    Raises NotReadyError if it is gone, or another one is.
    """
    with together(team):
        while task := team.hear():
            train, classes, recipe, state = task
            device = devices.chosen(recipe.device)
            with threads(recipe.threads), _deterministic(device):
                course = Course(classes, recipe, device, team=team.size)
                course.restore(state)
                for _ in _epochs(course, train, team):
                    pass


def _epochs(course: Course, train: Examples, team: Team) -> Iterator[float]:
    """Learn epoch by epoch, from where the course stands to its end; the mean loss of each."""
    recipe, network = course.recipe, team.joined(course.network)
    labels = torch.from_numpy(train.labels)  # (n,)
    batches = max(1, len(train) // recipe.batch_size)  # nearly equal ones, so that none is too small to normalise
    begun, steps = len(course.curve), recipe.epochs * batches
    step = begun * batches
    for _ in range(begun, recipe.epochs):
        network.train()
        losses = []
        for rows in torch.randperm(len(train), generator=course.generator).tensor_split(batches):
            step += 1
            course.optimizer.param_groups[0]["lr"] = recipe.learning_rate * _pace(step / steps)
            # A batch at a time: all rows at once would take four times the memory that they have as bytes.
            images = augment(as_tensor(train.images[rows.numpy()]), course.generator, course.strength)  # (batch, 1, 28, 28)
            kept = [layer.drawn(len(rows), course.generator) for layer in course.dropouts]
            batch = (images, labels[rows], *kept)  # of which this process has all, if it is alone
            part, answers, *kept = (team.part(each).to(course.device) for each in batch)
            for layer, factors in zip(course.dropouts, kept, strict=True):
                layer.kept = factors
            with devices.precision(course.device):
                logits, _ = network(part)  # (part, classes)
                loss = F.cross_entropy(logits, answers, label_smoothing=recipe.label_smoothing)
            loss = loss * team.weight(len(part), len(rows))  # by 1, if alone
            course.optimizer.zero_grad()
            torch.autograd.backward(loss)
            course.optimizer.step()
            course.follow(step)
            losses.append(loss.item())
        yield team.mean(losses)


def _pace(progress: float) -> float:
    """The share of the learning rate at `progress` (0 to 1): a straight rise, then half a cosine down to the least."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return LEAST_PACE + (1 - LEAST_PACE) * (1 + cos(pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def _measured(network: Network, validation: Examples, train_loss: float, epoch: int) -> Epoch:
    logits, _ = outputs(network, validation.images)
    loss = cross_entropy(logits, validation.labels, temperature=1.0)
    if not (isfinite(train_loss) and isfinite(loss)):
        raise DataError(
            f"The loss is no longer finite in epoch {epoch}: {train_loss} in training, {loss} in validation.",
            "Lower training.learning_rate.",
        )
    return Epoch(train_loss, loss, float(np.mean(logits.argmax(axis=1) == validation.labels)))


@contextmanager
def _deterministic(device: settings.Device) -> Iterator[None]:
    """Only algorithms that give the same bits every time; afterwards as before."""
    if device != "cpu":  # CUDA's products would be refused without a variable that has to stand before the process begins
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)


def _refuse_idle(team: Team, rows: int) -> None:
    if rows < team.size:
        raise SettingsError(
            f"A batch has {rows} rows, and {team.size} processes fit together, each of which needs one.",
            f"Start at most {rows} processes, or raise training.batch_size.",
        )


def _refuse_unfit(train: Examples, validation: Examples, classes: int) -> None:
    if classes < 2:
        raise DataError(f"There is nothing to tell apart: the number of classes is {classes}.", "Give at least two classes.")
    for part, examples in (("training", train), ("validation", validation)):
        if len(examples) == 0:
            raise DataError(f"The {part} part is empty.", "Ingest more examples, or split them with another salt.")
        strange = examples.labels[(examples.labels < 0) | (examples.labels >= classes)]
        if len(strange):
            raise DataError(
                f"The {part} part has the label {strange[0]}, and the classes are 0 to {classes - 1}.",
                "Correct or remove the rows with that label.",
            )
    absent = sorted({*range(classes)} - {*train.labels.tolist()})
    if absent:
        raise DataError(
            f"The training part has no example of class {absent[0]} ({len(absent)} of {classes} classes are absent).",
            "Ingest examples of it, or train with fewer classes.",
        )
