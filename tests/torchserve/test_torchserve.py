"""The real TorchServe still answers what was recorded. Runs where its environment is named: `make test-torchserve`."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from tests.torchserve import real
from tests.torchserve.play import play
from tests.torchserve.record import recorded
from tests.torchserve.scenarios import of
from tests.torchserve.server import CONFIGURATIONS, Name, Server, Servers
from tests.torchserve.table import Scenario

SORRY = real.missing() if real.VARIABLE in os.environ else "It takes a minute: run `make test-torchserve`."
CASES = [pytest.param(name, scenario, id=scenario.name) for name in CONFIGURATIONS for scenario in of(name)]

pytestmark = pytest.mark.skipif(bool(SORRY), reason=SORRY)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers[Name]]:
    def start(name: Name) -> AbstractContextManager[Server]:
        return real.running(tmp_path_factory.mktemp("real"), CONFIGURATIONS[name])

    with Servers(start) as started:
        yield started


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_torchserve_still_answers_what_was_recorded(servers: Servers[Name], name: Name, scenario: Scenario) -> None:
    theirs = recorded()[scenario.name]

    answers = play(servers.of(name), scenario)

    steady = [row.title for row in scenario.rows if not row.varies]
    changed = [f"{title}: {theirs[title]} against {answers[title]}" for title in steady if answers[title] != theirs[title]]
    assert not changed, "\n".join(["", *changed])
