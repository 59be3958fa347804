"""Which recipe a trial gets and when it is given up, as functions of the seed and of earlier generations alone.

A generation is a fixed number of trials. Nothing here hangs on which trial of a generation ends first, so a search has the
same trials whether they run one after the other or beside each other, and whether it was interrupted or not.
"""

from collections.abc import Mapping, Sequence
from math import ceil, inf
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from demlopment.records import Trial

Sampler = Literal["tpe", "random"]

GENERATION = 8  # trials that know nothing of each other's results: as many processes are never idle for long
GRACE = 0.25  # share of the epochs in which no trial is given up: the learning rate rises in the first 0.15


def start(number: int) -> int:
    """The first trial of the generation that has trial `number`: it may know what came of those before."""
    return number // GENERATION * GENERATION


def draw(
    sampler: Sampler,
    seed: int,
    ranges: Mapping[str, BaseDistribution],
    before: Sequence[FrozenTrial],
    siblings: Sequence[FrozenTrial],
) -> dict[str, Any]:
    """The parameters of the next trial, where `before` are all trials of earlier generations and `siblings` those of its own.

    Of siblings only the parameters count: TPE takes them for bad, so that a generation is spread out.
    Source     J. Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011; D. Ginsbourger et al.,
               "Kriging is well-suited to parallelize optimization", 2010 (the constant liar).
    """
    running = [
        create_trial(state=TrialState.RUNNING, params=each.params, distributions=each.distributions) for each in siblings
    ]
    number = len(before) + len(siblings)
    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    study = optuna.create_study(sampler=_sampler(sampler, own), pruner=optuna.pruners.NopPruner())
    study.add_trials([*before, *running])
    return study.ask(dict(ranges)).params


def limits(before: Sequence[Trial]) -> tuple[float, ...]:
    """By epoch, the share of errors above which a trial is given up: the median of the complete trials `before`.

    Not the loss, which label smoothing raises for a network that reads as well. The last epoch has no limit, because a
    trial that came so far has cost all it can.
    """
    curves = [trial.errors for trial in before if trial.state == "complete"]
    epochs = min(map(len, curves), default=0)
    if len(curves) < GENERATION / 2:
        return ()
    free = max(1, ceil(GRACE * epochs))
    medians = np.median([curve[:epochs] for curve in curves], axis=0)
    return (*(inf for _ in range(free)), *map(float, medians[free : epochs - 1]))


def exhausted(before: Sequence[Trial], patience: int | None) -> bool:
    """Whether the last `patience` trials (all of earlier generations) are no better than the best of those before them."""
    if patience is None or len(before) <= patience:
        return False
    values = [inf if trial.value is None else trial.value for trial in before]
    return min(values[-patience:]) >= min(values[:-patience])


def _sampler(name: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=GENERATION)
