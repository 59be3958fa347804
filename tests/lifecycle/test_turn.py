"""What a turn does when things go wrong: one at a time, three failures, a champion named meanwhile, a file nobody wrote."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from demlopment import archive, cli
from demlopment.data import Lake, RawRows, packaged_digits
from demlopment.errors import DataError, HomeError, NotReadyError
from demlopment.home import Home
from demlopment.lifecycle import ledger, steps
from demlopment.lifecycle.history import History
from demlopment.lifecycle.ledger import Step, Turn
from demlopment.lifecycle.steps import Bench
from demlopment.lifecycle.turn import begin, proceed, standing, turn
from demlopment.lifecycle.workshop import Workshop
from demlopment.records import Verdict
from demlopment.serving import state
from demlopment.serving.state import Version
from demlopment.settings import Settings
from demlopment.training import MlflowTracker
from tests.fakes import ListNarrator
from tests.lifecycle.test_condition import model
from tests.serving.endpoint import running
from tests.test_cli import assert_two_sentences, run

RULES = Settings.model_construct()
WISH = asdict(Verdict("retraining", "retrain", "digits 2.0", "", "Somebody asked.", {"condition": {"new_labels": 3}}))
RUNNING = Turn("turn-1", 100.0, "2.0", "snapshot", WISH)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose champion is 2.0, after 1.0, with a few digits in its lake."""
    home = Home(tmp_path_factory.mktemp("turn") / "var")
    home.open()
    rows, lake = packaged_digits(), Lake(home.lake)
    lake.add(RawRows(rows.name, rows.sha256, rows.frame.gather_every(50)))
    snapshot = lake.pin("before", "demlopment-1")
    tracker = MlflowTracker(f"sqlite:///{home.tracking.resolve()}", home.artifacts)
    for version in ("1.0", "2.0"):
        card = replace(model(version).card, lineage={"snapshot": snapshot.name, "recipe": {}})
        path = archive.write(home.models, replace(model(version), card=card))
        fitted = tracker.record(version, {}, [], {}, path, commit="x", edited=None)
        tracker.register("digits", version, fitted)
    tracker.alias("digits", "champion", "2.0")
    return home


@pytest.fixture
def home(made: Home) -> Home:
    """The same, with a history that begins anew."""
    made.history.unlink(missing_ok=True)
    ledger.close(made)
    History(made.history).record(Verdict("hand", "promote", "digits 2.0", "digits 1.0", "", {}), 50.0)
    return made


def clock() -> float:
    return 1000.0


def said(home: Home) -> list[tuple[str, str]]:
    return [(each.verdict.decision, each.verdict.reason) for each in History(home.history).entries()[1:]]


def breaking(monkeypatch: pytest.MonkeyPatch, step: Step, error: Exception) -> None:
    def broken(bench: Bench, current: Turn) -> Turn:
        raise error

    monkeypatch.setitem(steps.STEPS, step, ("Break", broken))


def test_two_turns_at_once_are_refused(home: Home) -> None:
    with home.locked("turn"), pytest.raises(HomeError, match=r"turn\.lock is held"):
        turn(home, RULES, ListNarrator(), clock)


def test_a_turn_that_runs_is_never_replaced_by_another(home: Home) -> None:
    waiting = ledger.write(home, replace(RUNNING, step="shadow", version="3.0"))

    with pytest.raises(HomeError, match=r"turn-1 of .* is running, and two turns cannot\. Go on with it"):
        begin(home, RULES, 2000.0, by_hand=True)

    assert ledger.read(home) == waiting
    assert said(home) == []


def test_without_a_champion_nothing_is_begun(tmp_path: Path) -> None:
    empty = Home(tmp_path / "var")
    empty.open()

    with pytest.raises(DataError, match="Nobody is champion"):
        turn(empty, RULES, ListNarrator(), clock)
    assert ledger.read(empty) is None


def test_that_there_is_nothing_to_do_is_recorded_once(home: Home) -> None:
    found = [turn(home, RULES, ListNarrator(), clock) for _ in range(3)]

    assert {each.step for each in found} == {None}
    assert said(home) == [("wait", "Nothing asks for digits 2.0 to be fitted anew.")]


def test_a_step_that_fails_three_times_is_given_up_loudly_and_the_champion_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(monkeypatch, "snapshot", DataError("The lake is broken.", "Mend it."))
    for _ in range(2):
        with pytest.raises(DataError, match="The lake is broken"):
            turn(home, RULES, ListNarrator(), clock, by_hand=True)

    found = turn(home, RULES, ListNarrator(), clock)

    assert found.failed
    assert found.step is None
    assert [decision for decision, _ in said(home)] == ["retrain", "refuse"]
    assert said(home)[-1][1] == (
        "digits 2.0 stays the champion. The step 'snapshot' of the retrain failed 3 times and is given up: "
        "The lake is broken. Mend it."
    )
    assert ledger.read(home) is None


def test_three_such_retrains_are_enough(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, "snapshot", ValueError("no"))
    rules = RULES.model_copy(update={"retraining": RULES.retraining.model_copy(update={"failures": 1, "every_days": 1e-9})})
    turn(home, rules, ListNarrator(), clock, by_hand=True)

    found = turn(home, rules, ListNarrator(), lambda: 4e9)

    assert found.step is None
    assert "gave no champion: none is begun until" in said(home)[-1][1]


def test_an_endpoint_that_does_not_run_is_no_failure(home: Home) -> None:
    ledger.write(home, replace(RUNNING, step="shadow", version="1.0"))

    for _ in range(4):
        with pytest.raises(NotReadyError, match=r"^No endpoint runs in .*\. Start it, and run this again: demlopment serve\.$"):
            turn(home, RULES, ListNarrator(), clock)

    assert ledger.read(home) == replace(RUNNING, step="shadow", version="1.0")


def test_a_step_whose_process_dies_again_and_again_is_given_up(home: Home) -> None:
    ledger.write(home, replace(RUNNING, attempts=3, error="its process was killed"))

    found = turn(home, RULES, ListNarrator(), clock)

    assert found.failed
    assert said(home)[-1][1].endswith("failed 3 times and is given up: its process was killed.")


def test_a_champion_that_somebody_named_meanwhile_ends_the_turn(home: Home) -> None:
    ledger.write(home, replace(RUNNING, champion="1.0"))

    turn(home, RULES, ListNarrator(), clock)

    assert said(home)[-1] == ("stop", "digits 1.0 stays the champion. Somebody named digits 2.0 champion meanwhile.")


def test_a_version_that_is_promised_to_a_turn_is_given_to_nobody_else(home: Home) -> None:
    ledger.write(home, replace(RUNNING, version="7.0"))

    assert Workshop(home, RULES, clock).next_version() == "8.0"


def test_the_predecessor_comes_back_and_its_turn_is_recorded(home: Home) -> None:
    back = asdict(Verdict("retraining", "roll back", "digits 2.0", "digits 1.0", "It was better.", {}))
    current = state.State()
    for version in ("2.0", "1.0"):
        current = current.register("digits", version, Version(f"digits-{version}.mar", "", 1, 1))
    home.endpoint.mkdir(exist_ok=True)
    state.save(state.path(home), current)
    ledger.write(home, replace(RUNNING, step="decide", decided=back))

    with running(home.root) as endpoint:
        found = turn(home, RULES, ListNarrator(), clock)
        again = proceed(home, RULES, ListNarrator(), clock)
        served = [each["modelVersion"] for each in endpoint.management.get("/models/digits/all").json()]
    tracker = Workshop(home, RULES, clock).tracker
    champion = tracker.champion("digits")
    tracker.alias("digits", "champion", "2.0")

    assert found.sentence == "digits 1.0 answers every request"
    assert again.sentence == "No turn is running."
    assert (champion, served) == ("1.0", ["1.0"])
    assert [decision for decision, _ in said(home)] == ["roll back", "promote"]
    assert said(home)[-1][1] == "digits 1.0 is the champion after digits 2.0. It was better."


@given(
    st.builds(
        Turn,
        name=st.text(),
        begun=st.floats(0, 1e10),
        champion=st.text(),
        step=st.sampled_from(get_args(Step)),
        decided=st.just(WISH),
        version=st.text(),
        attempts=st.integers(0, 5),
        error=st.text(st.characters(codec="utf-8")),
    )
)
def test_what_is_written_is_read_again(made: Home, current: Turn) -> None:
    ledger.write(made, current)

    assert ledger.read(made) == current
    assert current.step in standing(made).sentence


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:40], lambda _: "[]", lambda text: text.replace("snapshot", "sleep"), lambda _: '{"format": 2}'],
)
def test_a_file_that_no_turn_wrote_is_named(home: Home, damage: Callable[[str], Any]) -> None:
    ledger.write(home, RUNNING)
    home.turn.write_text(damage(home.turn.read_text()))

    with pytest.raises(HomeError, match=r"turn\.json is no record of a turn: .*\. Remove it: the turn is then forgotten"):
        turn(home, RULES, ListNarrator(), clock)


def test_the_command_says_where_the_turn_stands_and_what_is_wrong(home: Home, tmp_path: Path) -> None:
    def asked(*options: str) -> str:
        return CliRunner().invoke(cli.app, ["--home", str(home.root), "retrain", *options]).output

    idle = asked("--status")
    ledger.write(home, replace(RUNNING, step="shadow", version="3.0"))
    shown = asked("--status")

    assert idle == "No turn is running.\n"
    assert shown == "A turn is running with digits 3.0 as candidate; its next step is 'shadow'.\n"
    assert "Give one of --now and --status" in asked("--status", "--now")
    assert_two_sentences(run("retrain", home=tmp_path / "empty"), "Nobody is champion")
