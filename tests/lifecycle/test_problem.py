"""A problem of one's own is judged and served as digits are, and what it cannot be compared with is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from demlopment.data import returned
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.lifecycle.problem import Pinned, Problem
from demlopment.settings import Settings
from tests import tables
from tests.tables import CLASSES, COLUMNS


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    home = Home(tmp_path / "var")
    home.open()
    return Problem(home, Settings(), "wine", CLASSES, COLUMNS)


@pytest.fixture
def pinned(problem: Problem) -> Pinned:
    values, labels = tables.rows(400)
    problem.lake.add(returned(values, [CLASSES[each] for each in labels], [f"request {number}" for number in range(400)]))
    return problem.pin("first")


def test_a_champion_that_reads_other_columns_judges_nobody(problem: Problem, pinned: Pinned) -> None:
    candidate, former = (problem.pack(version, tables.network(), 0.1, pinned) for version in ("2.0", "1.0"))
    card = replace(former.model.card, columns=COLUMNS[:2])

    with pytest.raises(DataError, match=r"wine 1.0 reads other columns than the table has: alcohol 10 to 16, ash 0 to 5\."):
        problem.judge(candidate, pinned, replace(former, model=replace(former.model, card=card)))

    assert problem.verdicts == []
