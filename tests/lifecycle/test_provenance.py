"""Whatever the loop makes says which code made it."""

import re

import numpy as np

from demlopment.data import Lake, returned
from demlopment.lifecycle.collect import everything
from demlopment.lifecycle.provenance import commit
from demlopment.settings import Data
from tests.fakes import MemoryStore


def test_a_pin_says_which_code_made_it() -> None:
    lake = Lake("memory", MemoryStore)
    lake.add(returned(np.full((1, 28, 28), np.eye(28) * 255).astype(np.uint8), ["1"], ["request-1"]))

    everything(lake, Data(), "all")

    assert re.fullmatch(r"[0-9a-f]{40}|unknown", commit())
    assert lake.named("all").commit == commit()
