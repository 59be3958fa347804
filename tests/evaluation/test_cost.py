"""What is counted is what the network computes, and a bound that is passed is seen. No bound here is a time."""

import pytest

from demlopment import images
from demlopment.archive import Archive, Card
from demlopment.evaluation.cost import cost_checks, multiply_adds
from demlopment.training import Fitted, export
from demlopment.training import network as networks


@pytest.fixture(scope="module")
def model(fitted: Fitted) -> Archive:
    return Archive(
        Card("digits", "1.0", tuple("0123456789"), images.VERSION, fitted.temperature, {}, {}), export(fitted), {}, b""
    )


def test_the_multiply_adds_of_the_served_network_are_those_of_the_fitted_one(model: Archive, fitted: Fitted) -> None:
    assert multiply_adds(model.network) == networks.multiply_adds(fitted.network)


def test_size_and_arithmetic_are_held_to_their_bounds_and_times_have_intervals(model: Archive) -> None:
    million = multiply_adds(model.network) / 1e6

    met = cost_checks(model, None, len(model.network) / 1000, million)
    missed = cost_checks(model, 0.0, len(model.network) / 1001, million * 0.99)

    assert all(check.met for check in met)
    assert not any(check.met for check in missed)
    assert [check.name for check in met] == ["time of 1 at once", "time of 64 at once", "network", "multiply-adds"]
    assert all(check.interval is not None and check.interval.low <= check.value <= check.interval.high for check in met[:2])
