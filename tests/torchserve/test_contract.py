"""Our endpoint against what the real TorchServe answered, in its own words when strict, and with our deviations when not."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.torchserve import ours
from tests.torchserve.deviations import DEVIATIONS
from tests.torchserve.judge import complaints
from tests.torchserve.play import play
from tests.torchserve.record import recorded
from tests.torchserve.scenarios import SCENARIOS, of
from tests.torchserve.server import CONFIGURATIONS, Name, Server, Servers
from tests.torchserve.table import Scenario

CASES = [
    pytest.param(name, strict, scenario, id=f"{scenario.name}{', strict' if strict else ''}")
    for strict in (False, True)
    for name in CONFIGURATIONS
    for scenario in of(name)
]
# As the page docs/torchserve.md shows the deviations.
TABLE = [
    f"| {name} | {each.upstream} | {each.ours} | {each.why} | {each.lasting or 'restores it'} |"
    for name, each in DEVIATIONS.items()
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers[tuple[Name, bool]]]:
    def start(key: tuple[Name, bool]) -> AbstractContextManager[Server]:
        name, strict = key
        return ours.running(tmp_path_factory.mktemp("ours"), CONFIGURATIONS[name], strict=strict)

    with Servers(start) as started:
        yield started


@pytest.mark.parametrize(("name", "strict", "scenario"), CASES)
def test_a_client_of_torchserve_sees_no_other_difference_than_the_listed_ones(
    servers: Servers[tuple[Name, bool]],
    name: Name,
    strict: bool,  # noqa: FBT001 - a parameter of the test
    scenario: Scenario,
) -> None:
    theirs = recorded()[scenario.name]

    answers = play(servers.of((name, strict)), scenario)

    found = complaints(scenario, theirs, answers, strict=strict)
    assert not found, "\n".join(["", *found])


def test_every_row_is_recorded_once_and_nothing_else() -> None:
    titles = {scenario.name: [row.title for row in scenario.rows] for scenario in SCENARIOS}

    answers = recorded()

    assert len(titles) == len(SCENARIOS)
    assert {name: sorted(rows) for name, rows in titles.items()} == {name: sorted(rows) for name, rows in answers.items()}


def test_every_deviation_is_seen_in_a_row_or_tested_elsewhere() -> None:
    used = {row.deviation for scenario in SCENARIOS for row in scenario.rows if row.deviation}

    seen_nowhere = {name for name, deviation in DEVIATIONS.items() if not deviation.elsewhere}

    assert used == seen_nowhere


def test_the_page_lists_every_deviation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "torchserve.md").read_text()

    listed = [line for line in page.splitlines() if line in set(TABLE)]

    assert len(TABLE) > 20
    assert listed == TABLE, "write TABLE of this file into the page"
