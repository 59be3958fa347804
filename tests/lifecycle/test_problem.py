"""A problem of one's own is judged and served as digits are, and what it cannot be compared with is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, row
from demlopment.data import returned
from demlopment.errors import DataError, NotReadyError
from demlopment.home import Home
from demlopment.lifecycle.problem import Pinned, Problem
from demlopment.lifecycle.rollout import endpoint
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


def test_the_row_to_try_is_one_of_the_test_part_that_is_answered_rightly_and_surely(problem: Problem, pinned: Pinned) -> None:
    packed = problem.pack("1.0", tables.network(), 0.1, pinned)

    test = pinned.parts.test
    shares = tables.probabilities(test.images)
    right, sure = shares.argmax(axis=1) == test.labels, shares.max(axis=1)
    first = test.images[(right & (sure >= np.median(sure[right]))).argmax()]
    assert row.prepare(packed.model.sample, COLUMNS).tolist() == first.tolist()


def test_a_version_that_would_answer_otherwise_is_refused_with_a_verdict_and_what_was_there_before_stays(
    problem: Problem, pinned: Pinned
) -> None:
    one, two, other = (problem.pack(version, tables.network(), 0.1, pinned) for version in ("1.0", "2.0", "1.0"))
    store = problem.home.models
    path = archive.write(store, replace(one.model, answers=()))  # then the endpoint has nothing to compare with
    swapped = replace(two.model, answers=tuple(reversed(two.model.answers)))
    archive.write(store, swapped)

    with endpoint(problem.home, problem.settings.endpoint) as rollout:
        problem.bring_up(rollout, one)
        assert problem.verdicts == []
        with pytest.raises(NotReadyError, match="does not answer here as it did when it was judged"):
            problem.bring_up(rollout, two)
        path.unlink()
        archive.write(store, replace(other.model, card=replace(other.model.card, temperature=9.0), answers=()))
        with pytest.raises(NotReadyError, match=r"does not answer as wine 1\.0 did when it was judged"):
            problem.bring_up(rollout, other)
        assert rollout.ask("wine", "1.0", one.model.sample)

    said = [entry.verdict for entry in problem.history.entries()]
    assert [(each.kind, each.decision, each.subject) for each in said] == [
        ("serving", "refuse", "wine 2.0"),
        ("serving", "refuse", "wine 1.0"),
    ]


def test_a_verdict_of_the_gate_names_the_code_behind_the_model(problem: Problem, pinned: Pinned) -> None:
    candidate = problem.pack("1.0", tables.network(), 0.1, pinned)

    problem.judge(candidate, pinned)

    (verdict,) = problem.verdicts
    lineage = candidate.model.card.lineage
    assert (verdict.evidence["commit"], verdict.evidence["edited"]) == (lineage["commit"], lineage["environment"]["edited"])
