"""A fit that is not finished yet, on disk: whole or not there. Knows nothing of how a network is fitted."""

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from demlopment import home
from demlopment.errors import HomeError
from demlopment.records import Examples


def save(path: Path, identity: str, state: Mapping[str, Any]) -> None:
    """Keep the state of the fit that `identity` names in place of what was there. Raises HomeError if it cannot be written."""
    buffer = io.BytesIO()
    torch.save({"identity": identity, "state": dict(state)}, buffer)
    home.replace(path, buffer.getvalue())


def load(path: Path, identity: str) -> dict[str, Any] | None:
    """The state that was kept of that very fit; None if there is none, or it is another fit's.

    Raises HomeError for a file that is no checkpoint: a killed process never leaves one.
    """
    if not path.exists():
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's doubts about a strange file: the refusal says enough
            # Tensors and plain values: a file is data, never code. On the processor, whatever device they were on.
            kept = torch.load(path, weights_only=True, map_location="cpu")
        found, state = kept["identity"], kept["state"]
    except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise HomeError(f"{path} is no checkpoint of a fit: {reason}.", "Remove it: the fit then starts anew.") from error
    return dict(state) if found == identity else None


def identity_of(*parts: Examples | str) -> str:
    """A digest of all that decides the weights: rows with their labels, in order, and texts such as the recipe."""
    digest = hashlib.sha256()
    for part in parts:
        pieces = [part.encode()] if isinstance(part, str) else [part.images.tobytes(), part.labels.tobytes()]
        for piece in pieces:
            digest.update(len(piece).to_bytes(8, "big") + piece)  # the length, so that no two lists of parts are one text
    return digest.hexdigest()
