"""A fit between two epochs: all that the next one depends on, besides the examples. Knows nothing of how it learns."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import torch

import demlopment
from demlopment import settings
from demlopment.records import Epoch
from demlopment.training.augment import Strength
from demlopment.training.dropout import Dropout
from demlopment.training.network import initialised
from demlopment.training.weights import weights

WINDOW = 10  # the average is about that of the last tenth of all steps, however many there were


class Course:
    """The network that learns, the average of its weights, the optimizer, the source of chance, and the curve so far."""

    def __init__(
        self, classes: int, recipe: settings.Training, device: settings.Device, begin: bytes | None = None, team: int = 1
    ) -> None:
        """`begin` is a network as `export` wrote it, whose weights it begins with; without one they are drawn.

        `team` is the number of processes that fit it together.
        """
        self.recipe = recipe
        self.team = team
        self.strength = Strength().times(recipe.augmentation)
        self.device = device
        self.begun = "" if begin is None else hashlib.sha256(begin).hexdigest()
        self.network = initialised(classes, recipe.seed, recipe.profile)
        if begin is not None:
            self.network.load_state_dict(weights(begin, self.network))
        self.network.to(device)
        self.dropouts = [layer for layer in self.network.body if isinstance(layer, Dropout)]
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.0, fused=True)
        # Of the processor wherever the network is: the same order, augmentation and dropout on every device.
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.curve: list[Epoch] = []
        # Weights and the normalisation's statistics, in one order; these share memory with the modules.
        mine, theirs = self.average.state_dict(), self.network.state_dict()
        names = [name for name, value in mine.items() if value.is_floating_point()]
        self._followed = [mine[name] for name in names], [theirs[name] for name in names]

    def follow(self, step: int) -> None:
        """Take the weights after `step` into the average."""
        torch._foreach_lerp_(*self._followed, WINDOW / (WINDOW + step))

    @property
    def description(self) -> tuple[str, ...]:
        """What decides the weights besides the rows: another release, layer, recipe, strength, device, start, team."""
        recipe = self.recipe.model_dump_json(exclude=settings.PLACES)
        releases, layers, team = (demlopment.__version__, torch.__version__), str(self.network), str(self.team)
        return *releases, layers, recipe, str(self.strength), self.device, self.begun, team

    def state(self) -> Mapping[str, Any]:
        """All of it as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "curve": [list(astuple(epoch)) for epoch in self.curve],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where a course of the same description stood when it gave that state."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.curve = [Epoch(*numbers) for numbers in state["curve"]]
