"""The real TorchServe still answers what was recorded, started by itself and as our engine: `make test-torchserve`."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from tests.torchserve import ours, real
from tests.torchserve.play import play
from tests.torchserve.record import recorded
from tests.torchserve.scenarios import of
from tests.torchserve.server import CONFIGURATIONS, Name, Server, Servers
from tests.torchserve.table import Scenario

SORRY = real.missing() if real.VARIABLE in os.environ else "It takes a minute: run `make test-torchserve`."
CASES = [
    pytest.param(how, name, scenario, id=f"{scenario.name}, {how}")
    for how in ("alone", "engine")
    for name in CONFIGURATIONS
    for scenario in of(name)
]

pytestmark = pytest.mark.skipif(bool(SORRY), reason=SORRY)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers[tuple[str, Name]]]:
    def start(key: tuple[str, Name]) -> AbstractContextManager[Server]:
        how, name = key
        if how == "alone":
            return real.running(tmp_path_factory.mktemp("real"), CONFIGURATIONS[name])
        return ours.running(tmp_path_factory.mktemp("engine"), CONFIGURATIONS[name], engine="torchserve")

    with Servers(start) as started:
        yield started


@pytest.mark.parametrize(("how", "name", "scenario"), CASES)
def test_torchserve_still_answers_what_was_recorded(
    servers: Servers[tuple[str, Name]], how: str, name: Name, scenario: Scenario
) -> None:
    theirs = recorded()[scenario.name]

    answers = play(servers.of((how, name)), scenario)

    steady = [row.title for row in scenario.rows if not row.varies]
    changed = [f"{title}: {theirs[title]} against {answers[title]}" for title in steady if answers[title] != theirs[title]]
    assert not changed, "\n".join(["", *changed])
