"""Where a network learns: a processor or an accelerator, and in which precision. Knows nothing of what is learnt there."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from demlopment import settings
from demlopment.errors import SettingsError


def present() -> tuple[settings.Device, ...]:
    """The devices of this machine that torch can use, the fastest first; the processor is always among them."""
    accelerators: dict[settings.Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    return (*(name for name, there in accelerators.items() if there), "cpu")


def chosen(wanted: settings.Device | Literal["auto"], there: Sequence[settings.Device] | None = None) -> settings.Device:
    """The device that `training.device` means among those that are `there`: `auto` is the first.

    Raises SettingsError for one that this machine, or its torch, has not.
    """
    there = present() if there is None else there
    if wanted == "auto":
        return there[0]
    if wanted not in there:
        raise SettingsError(
            f"training.device is {wanted}, and torch {torch.__version__} finds {' and '.join(there)} on this machine.",
            f"Set it to {there[0]} or auto, or install the torch for that device, as TORCH_BACKEND=auto make venv_pip does.",
        )
    return wanted


def precision(device: settings.Device) -> AbstractContextManager[object]:
    """In what a step forward computes: bfloat16 where that is safe and quicker, on CUDA; elsewhere float32, as it is kept.

    bfloat16 has float32's range, so no gradient vanishes and no loss needs a scale that a checkpoint would have to hold.
    """
    return torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext()
