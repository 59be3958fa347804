"""Months of production in memory: one seed is one result, what is counted is true, and nobody is crowned without evidence."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from demlopment import cli, evaluation
from demlopment.errors import DataError
from demlopment.lifecycle.arena import Arena
from demlopment.lifecycle.eras import Era, Stream, digits, opening, stream
from demlopment.lifecycle.life import CLASSES, Life, Made, Recipe
from demlopment.lifecycle.longrun import Lived, Policy, fewer, lived
from demlopment.lifecycle.nights import Nights
from demlopment.lifecycle.production import DAY, Change
from demlopment.records import Canary, Examples, Guardrails, TrafficPlan, Treatment
from demlopment.serving import assign
from demlopment.settings import Retraining, Settings
from demlopment.web import longrun as page
from tests.web import pages

RECIPE = Recipe(opening_epochs=7, epochs=2, opening_rows=250, lessons=500)
SETTINGS = Settings.model_construct()
# A weak champion, and enough labels to be worth a look every night.
EAGER = SETTINGS.model_copy(
    update={
        "retraining": Retraining(
            labels=100,
            least_days=0.5,
            shadow_labels=60,
            split_labels=40,
            canary_steps=(0.3,),
            canary_seconds=0,
            canary_requests=5,
        )
    }
)
SHORT: Sequence[Era] = (Era("calm", 0.5, Change()), Era("another scanner", 0.5, Change("scanner")))
EIGHT = 8


@pytest.fixture(scope="module")
def met() -> Stream:
    return stream(digits(1)[1], EIGHT, 120, 1, SHORT)


@pytest.fixture(scope="module")
def first() -> Examples:
    return opening(digits(1)[0], RECIPE.opening_rows, 1)


@pytest.fixture(scope="module")
def asked(met: Stream, first: Examples) -> Lived:
    return lived("when it asks", met, first, EAGER, RECIPE)


def test_a_stream_has_its_requests_in_order_each_day_and_labels_come_after_them(met: Stream) -> None:
    days = [len(met.of_day(day)) for day in range(EIGHT)]

    assert sum(days) == len(met.at) == EIGHT * 120
    assert min(days) > 80
    assert np.all(np.diff(met.at) >= 0)
    assert np.all(met.label_at > met.at)
    assert 0.6 < np.isfinite(met.label_at).mean() < 0.9
    assert met.eras == (("calm", 0), ("another scanner", 4))


def test_the_same_seed_is_the_same_stream_and_another_is_another(met: Stream) -> None:
    again, other = (stream(digits(1)[1], EIGHT, 120, seed, SHORT) for seed in (1, 2))

    assert np.array_equal(again.pictures, met.pictures)
    assert np.array_equal(again.label_at, met.label_at)
    assert again.units == met.units
    assert not np.array_equal(other.pictures, met.pictures)


def test_too_few_days_for_the_eras_are_named() -> None:
    with pytest.raises(DataError, match=r"^A run of 3 days has no room for 7 eras\. Give at least 7 days\.$"):
        stream(digits(1)[1], 3, 20, 1)


def test_who_never_retrains_is_as_good_as_its_first_champion(met: Stream, first: Examples) -> None:
    champion = Life(met, first, SETTINGS, RECIPE).champion.archive

    found = lived("never", met, first, SETTINGS, RECIPE)

    nothing = np.full(len(met.at), "")
    scores = evaluation.evaluate_archive(champion, Examples(met.keys, met.pictures, met.classes, nothing, nothing), CLASSES)
    right = [float(scores.correct[met.of_day(day)].mean()) for day in range(EIGHT)]
    assert found.accuracy == pytest.approx(right)
    assert (found.errors, found.retrains, found.champions, found.bought) == (int((~scores.correct).sum()), 0, 0, 0)
    assert found.money == {"errors": 2.0 * found.errors, "retrains": 0, "labels": 0, "total": 2.0 * found.errors}
    assert found.labels == int((met.label_at <= EIGHT * DAY).sum())


def test_who_retrains_every_night_does(met: Stream, first: Examples) -> None:
    found = lived("every night", met, first, SETTINGS, RECIPE)

    assert (found.retrains, found.champions) == (EIGHT, EIGHT)
    assert found.money["retrains"] == EIGHT * 20
    assert np.mean(found.accuracy[1:]) > np.mean(lived("never", met, first, SETTINGS, RECIPE).accuracy[1:])


def test_the_loop_crowns_whom_gate_shadow_canary_and_split_have_seen_and_nobody_else(asked: Lived) -> None:
    crowned = [place for place, each in enumerate(asked.verdicts) if each[1:3] == ("retraining", "promote")]

    assert crowned, "in eight days with a weak champion somebody is better"
    assert asked.champions == len(crowned)
    for place in crowned:
        subject = asked.verdicts[place][3]
        before = [(kind, decision) for _, kind, decision, about, _ in asked.verdicts[:place] if about == subject]
        assert ("gate", "promote") in before
        assert ("serving", "continue") in before, "the canary is complete"
        assert [kind for kind, _ in before].count("experiment") >= 2, "as a shadow, and in the split"
        assert ("experiment", "promote") in before
    refused = [each[3] for each in asked.verdicts if each[1:3] == ("gate", "refuse")]
    assert not {asked.verdicts[place][3] for place in crowned} & set(refused)


def test_the_same_seed_is_the_same_life(met: Stream, first: Examples, asked: Lived) -> None:
    again = lived("when it asks", met, first, EAGER, RECIPE)

    assert (again.accuracy, again.verdicts, again.money) == (asked.accuracy, asked.verdicts, asked.money)


def test_an_arena_splits_shadows_and_hears_labels_when_they_come(met: Stream, first: Examples) -> None:
    life = Life(met, first, SETTINGS, RECIPE)
    arena, rows = life.arena, met.of_day(0)
    arena.models["2.0"] = life.champion.archive
    plan = TrafficPlan("digits", "1.0", (Treatment("2.0", 0.3),), "s")
    arena.answer(rows[:10], float(met.at[rows[10]]))
    arena.split(plan, 0)
    arena.answer(rows[10:60], float(met.at[rows[60]]))
    arena.split(replace(plan, treatments=(), shadows=("2.0",)), 1)
    arena.answer(rows[60:], DAY)

    asked, shadows = arena.predictions, arena.shadows
    assert {each.arm for each in asked[:10]} == {"direct"}
    assert [(each.arm, each.version) for each in asked[10:60]] == [assign(each.unit, plan) for each in asked[10:60]]
    assert {each.arm for each in asked[10:60]} == {"control", "treatment"}
    assert [each.request_id for each in shadows] == [each.request_id for each in asked[60:]]
    assert {each.arm for each in shadows} == {"shadow"}
    assert set(arena.truth) == {f"r{row}" for row in range(len(rows)) if met.label_at[row] <= DAY}
    assert [each.request_id for each in arena.traffic(float(met.at[60])).predictions] == [
        each.request_id for each in asked[60:]
    ]


@pytest.mark.parametrize("state", ["complete", "rolled back"])
def test_a_canary_climbs_in_an_arena_or_is_rolled_back(met: Stream, first: Examples, state: str) -> None:
    life = Life(met, first, SETTINGS, RECIPE)
    arena = life.arena
    card = replace(life.champion.archive.card, version="2.0")
    wrong = replace(card, classes=card.classes[::-1], temperature=0.01)  # certain of what is not so
    arena.models["2.0"] = replace(life.champion.archive, card=card if state == "complete" else wrong)
    rails = Guardrails(classes=None, abstained=None, disagreement=None)
    canary = Canary((0.3, 0.6), 3600.0, 5, rails)

    arena.split(TrafficPlan("digits", "1.0", (Treatment("2.0", 0.0),), "s", canary=canary), 0)
    for day in range(EIGHT):
        arena.answer(met.of_day(day), (day + 1) * DAY)

    plan = arena.plan()
    assert plan is not None
    assert plan.canary is not None
    assert plan.canary.state == state
    assert plan.treatments[0].share == (0.6 if state == "complete" else 0)


def test_people_are_asked_about_the_latest_pictures_and_the_labels_are_paid(met: Stream, first: Examples) -> None:
    life = Life(met, first, fewer(SETTINGS), RECIPE)
    life.arena.answer(met.of_day(0), DAY)
    before = set(life.arena.truth)

    life.ask(DAY)

    new = [each for each in life.arena.truth if each not in before]
    assert len(new) == life.bought == min(100, len(met.of_day(0)) - len(before))
    assert life.money(3)["labels"] == pytest.approx(0.05 * life.bought)


def test_a_predecessor_that_reads_better_comes_back(met: Stream, first: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(met, first, EAGER, RECIPE)
    good = life.champion
    inverted = good.archive.card.classes[::-1]
    card = replace(good.archive.card, version="2.0", classes=inverted)
    life.crown(Made(replace(good.archive, card=card), good.parts, good.scores, 0), 0.0)
    monkeypatch.setattr(Arena, "_label", lambda arena, row: CLASSES[int(arena.stream.classes[row])])
    life.arena.answer(met.of_day(0), DAY)

    Nights(life).turn(DAY)

    assert [(each.verdict.decision, each.verdict.subject) for each in life.entries] == [
        ("roll back", "digits 2.0"),
        ("promote", "digits 1.0"),
    ]
    assert life.champion is good
    assert life.arena.default == "1.0"


def shown(policy: Policy, accuracy: tuple[float, ...]) -> Lived:
    money = {"errors": 20.0, "retrains": 20.0, "labels": 5.0, "total": 45.0}
    return Lived(policy, accuracy, 10, 1, 1, 1234, 100, money, ((3, "gate", "refuse", "digits 2.0", "It is <worse>."),))


def test_the_page_shows_each_way_and_every_decision(met: Stream, tmp_path: Path) -> None:
    runs = [shown("never", (0.9,) * 8), shown("every night", (0.95,) * 8), shown("when it asks", (0.9,) * 4 + (1.0,) * 4)]

    written = page.write(runs, met, {"seed": 1}, tmp_path)

    html = written.read_text()
    assert pages.strays(page.chart(runs)) == []
    assert "It is &lt;worse&gt;." in html
    name, start, shares = page.by_era(runs, met)[1]
    assert (name, start) == ("another scanner", 4)
    assert shares == pytest.approx([0.9, 0.95, 1.0])
    assert page.table(runs).splitlines()[2] == "| never | 90.00% | 10 | 1 | 1 | 1,234 (100) | 20 | 20 | 5 | 45 |"


def test_the_command_lives_through_a_few_days(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["--home", str(tmp_path), "simulate", "--days", "7", "--per-day", "20"])

    assert done.exit_code == 0, done.output
    rows = [line.split(" | ")[0] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[2:] == ["| never", "| every night", "| when it asks"]
    assert (tmp_path / "report" / "longrun.html").exists()
    assert (tmp_path / "report" / "longrun.json").exists()
