"""A model of the store is tested on the rows it never saw, and one that misses a bound is not let through."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demlopment.cli import app
from demlopment.data import Lake, packaged_digits, split
from demlopment.home import Home
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.provenance import commit, edited, told
from demlopment.settings import Evaluation, Gate, Settings, Training
from demlopment.training import MlflowTracker
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import LAX


def rules(evaluation: Evaluation) -> Settings:
    return Settings.model_construct(training=Training(epochs=2), gate=Gate(minimum_accuracy=0.2), evaluation=evaluation)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A champion that was let through, and a candidate that was refused for its size."""
    home = Home(tmp_path_factory.mktemp("examine") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    learn(home, rules(LAX), ListNarrator())
    return home


def test_the_verdict_holds_every_check_with_its_numbers(home: Home) -> None:
    (entry,) = History(home.history).entries()

    checks = entry.verdict.evidence["checks"]
    assert entry.verdict.decision == "promote"
    assert {check["group"] for check in checks} == {
        "held-out",
        "behaviour",
        "robustness",
        "calibration",
        "slices",
        "cost",
        "training",
    }
    assert all(check["met"] and check["rows"] > 0 for check in checks)


def test_the_verdict_and_the_run_say_which_code_was_judged_and_whether_it_was_edited(home: Home) -> None:
    (entry,) = History(home.history).entries()
    tracker = MlflowTracker(f"sqlite:///{home.tracking.resolve()}", home.artifacts)

    tags = tracker.client.get_run(str(tracker.run("digits", "1.0"))).data.tags
    said = entry.verdict.evidence
    assert (said["commit"], said["edited"]) == (commit(), edited())
    assert entry.verdict.reason.endswith(told(commit(), edited=edited()) or ".")
    assert tags["mlflow.source.git.commit"] == commit()
    assert tags["demlopment.edited"] == {True: "true", False: "false", None: "unknown"}[edited()]


def test_a_candidate_that_misses_a_bound_is_refused_and_served_by_nobody(tmp_path: Path) -> None:
    home = Home(tmp_path / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())

    verdict = learn(home, rules(LAX.model_copy(update={"most_kilobytes": 1})), ListNarrator())

    assert (verdict.decision, verdict.evidence["missed"]) == ("refuse", ["network"])
    assert "It misses the bound of network (" in verdict.reason
    assert not list(home.models.glob("*.mar"))


def test_the_command_tests_a_version_on_the_test_part_and_leaves_with_1_where_a_bound_is_missed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMLOPMENT_EVALUATION__MOST_KILOBYTES", "1")
    snapshot = next(iter(Lake(home.lake).snapshots().values()))
    unseen = split(Lake(home.lake).load(snapshot), snapshot.salt).test

    told = CliRunner().invoke(app, ["--home", str(home.root), "models", "test", "1.0", "--json"])
    shown = CliRunner().invoke(app, ["--home", str(home.root), "models", "test", "1.0"])
    nobody = CliRunner().invoke(app, ["--home", str(home.root), "models", "test", "9.0"])

    checks = {check["name"]: check for check in json.loads(told.output)}
    assert checks["accuracy"]["rows"] == len(unseen)
    assert not checks["network"]["met"]
    assert (told.exit_code, shown.exit_code) == (1, 1)
    assert "cost         network" in shown.output
    assert "MISSED" in shown.output
    assert nobody.exit_code != 0
