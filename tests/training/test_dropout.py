import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from demlopment import settings
from demlopment.records import Examples
from demlopment.training import dropout, fit
from demlopment.training.dropout import Dropout
from demlopment.training.network import initialised


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.floats(0, 0.9), st.sampled_from([(7, 1, 1), (5,), (3, 2, 2)]), st.integers(0, 99))
def test_each_value_is_dropped_or_grows_by_what_the_dropped_ones_took(
    probability: float, shape: tuple[int, ...], seed: int
) -> None:
    drawn = Dropout(probability, *shape).drawn(40, generator(seed))

    assert drawn.shape == (40, *shape)
    assert drawn[drawn != 0].tolist() == pytest.approx([1 / (1 - probability)] * int((drawn != 0).sum()))


def test_the_mean_stays_and_the_share_that_is_dropped_is_the_probability() -> None:
    drawn = Dropout(0.3, 50).drawn(4000, generator())

    assert (drawn == 0).float().mean().item() == pytest.approx(0.3, abs=0.005)  # five standard errors
    assert drawn.mean().item() == pytest.approx(1, abs=0.01)


def test_whole_channels_go_for_one_image_and_others_for_the_next() -> None:
    layer = Dropout(0.5, 8, 1, 1)
    layer.kept = layer.drawn(6, generator())

    seen = layer(torch.ones(6, 8, 4, 4))

    assert all(len(channel.unique()) == 1 for image in seen for channel in image)
    assert len({tuple(image[:, 0, 0].tolist()) for image in seen}) > 1


def test_nothing_is_dropped_where_nothing_is_learnt_and_before_it_is_told() -> None:
    values, layer = torch.rand(6, 9), Dropout(0.5, 9)

    untold = layer(values)
    layer.kept = layer.drawn(6, generator())
    learning = layer(values)
    layer.eval()

    assert torch.equal(untold, values)
    assert not torch.equal(learning, values)
    assert torch.equal(layer(values), values)


def test_a_fit_drops_anew_in_each_batch(train: Examples, validation: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[torch.Tensor] = []
    forward = dropout.Dropout.forward

    def noted(self: Dropout, values: torch.Tensor) -> torch.Tensor:
        if self.training and self.shape == (128,):
            assert self.kept is not None
            told.append(self.kept)
        return forward(self, values)

    monkeypatch.setattr(dropout.Dropout, "forward", noted)
    fit(train.where(np.arange(128)), validation, 10, settings.Training(profile="large", epochs=2, batch_size=64))

    assert len(told) == 4
    assert not any(torch.equal(one, other) for place, one in enumerate(told) for other in told[:place])


def test_the_large_network_drops_and_the_default_one_does_not() -> None:
    found = {
        profile: sum(isinstance(layer, Dropout) for layer in initialised(10, 1, profile).body)
        for profile in ("default", "large")
    }

    assert found == {"default": 0, "large": 6}
