"""The champion whose weights a fit begins with, what the card says of it, and how it is found again. Fits nothing."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from demlopment import archive
from demlopment.archive import Archive, Card
from demlopment.errors import ArchiveError, DataError
from demlopment.home import Home
from demlopment.settings import Training

BEGUN = "begun_with"  # in a card's lineage, where the fit did not begin anew


def beginning(recipe: Training, champion: Archive | None, classes: Sequence[str]) -> Archive | None:
    """The champion to begin with; None if the recipe begins anew or there is no champion.

    Raises DataError for a champion of other classes or of another order, whose weights say nothing of these, and for one
    of another profile, whose weights are those of other layers.
    """
    if not recipe.warm_start or champion is None:
        return None
    if champion.card.classes != tuple(classes):
        raise DataError(
            f"The champion {champion.card.title} has the classes {', '.join(champion.card.classes)}, "
            f"and a fit to {', '.join(classes)} cannot begin with its weights.",
            "Set training.warm_start to false for this fit.",
        )
    if champion.card.profile != recipe.profile:
        raise DataError(
            f"The champion {champion.card.title} is of the profile {champion.card.profile}, "
            f"and a fit of the profile {recipe.profile} cannot begin with its weights.",
            "Set training.warm_start to false for this fit.",
        )
    return champion


def lineage(champion: Archive | None) -> dict[str, Any]:
    """What the card of a network says that began with the weights of `champion`."""
    if champion is None:
        return {}
    return {BEGUN: {"version": champion.card.version, "sha256": hashlib.sha256(champion.network).hexdigest()}}


def begun_with(home: Home, card: Card) -> bytes | None:
    """The network that a fit began with, from the model store; None if it began anew.

    Raises ArchiveError if it is not there any more, or another one is.
    """
    said: Mapping[str, str] | None = card.lineage.get(BEGUN)
    if said is None:
        return None
    path = home.models / f"{card.name}-{said['version']}.mar"
    network = archive.read(path).network if path.exists() else b""
    if hashlib.sha256(network).hexdigest() != said["sha256"]:
        problem = "holds another network" if network else "does not exist"
        raise ArchiveError(
            f"{card.title} began with the weights of {card.name} {said['version']}, and {path} {problem}.",
            "Put that archive back: without it the model cannot be made again.",
        )
    return network
