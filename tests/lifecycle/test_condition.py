"""What is known of production is what the journal, the lake and the history hold; a monitor that crashes silences no other."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest

from demlopment import archive, images
from demlopment.archive import Archive, Card
from demlopment.data import Answers, Lake, packaged_digits
from demlopment.errors import ArchiveError, DataError
from demlopment.evaluation import reader
from demlopment.home import Home
from demlopment.lifecycle.compact import DAY_SECONDS, compact
from demlopment.lifecycle.condition import Condition, Reign, condition, gather
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.observe import Traffic
from demlopment.monitoring import profile
from demlopment.records import Feedback, Prediction, Scores, Verdict
from demlopment.serving.journal import Journal
from demlopment.settings import Endpoint, Monitoring, Retraining, Settings
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import SHORT
from tests.serving.endpoint import CLASSES, TEMPERATURE, WIDTH, digit, expected, onnx_network

WINDOW = 50
RULES = Settings.model_construct(monitoring=Monitoring(window=WINDOW), retraining=Retraining(recent=100))
LIVE = 10_000.0
SCORED = {"accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.94, "test_rows": 200}


def embedding(picture: images.Grey) -> npt.NDArray[np.float32]:
    return np.asarray(images.as_input(picture)[0, 0].reshape(4, 7, 4, 7).mean(axis=(1, 3)).ravel(), np.float32)


def model(version: str) -> Archive:
    """The endpoint's tiny network, with the profile of two hundred scribbles."""
    pictures = np.stack([images.prepare(digit(seed)) for seed in range(200)])
    probabilities = np.stack([expected(digit(seed), version) for seed in range(200)])
    card = Card("digits", version, CLASSES, images.VERSION, TEMPERATURE, SCORED, {})
    reference = profile(pictures, probabilities, np.stack([embedding(each) for each in pictures]))
    return Archive(card, onnx_network(version), reference, digit(1))


def answers(count: int, version: str = "2.0", *, start: float = LIVE, bold: bool = False) -> list[Prediction]:
    """What a version said to scribbles, a request a second."""
    made = []
    for number in range(count):
        picture = images.prepare(digit(number % 200))
        shown = np.minimum(picture.astype(np.int64) * 3 + 90, 255).astype(np.uint8) if bold else picture
        said = expected(digit(number % 200), version).astype(np.float32)
        made.append(
            Prediction(
                f"{start}-{number}", start + number, "digits", version, "control", f"u{number}", shown,
                CLASSES[said.argmax()], said, embedding(shown), 1.0, f"{number:064x}",
            )
        )  # fmt: skip
    return made


def truth(predictions: Sequence[Prediction], right: float) -> dict[str, str]:
    """Labels for every second request, that share of which the answer meets."""
    known = predictions[::2]
    kept = round(right * len(known))
    return {each.request_id: each.label if place < kept else "none" for place, each in enumerate(known)}


def examination() -> Scores:
    labels = np.array([int(expected(digit(seed), "2.0").argmax()) for seed in range(200)])
    labels[::10] = (labels[::10] + 1) % 10
    probabilities = np.stack([expected(digit(seed), "2.0") for seed in range(200)]).astype(np.float32)
    return Scores("digits 2.0", np.arange(200).astype(np.str_), labels, probabilities, 0.1, 0.1)


def known(traffic: Traffic, reign: Reign | None = None, now: float = LIVE + 1000) -> Condition:
    current = reign or Reign(model("2.0"), LIVE - 50, LIVE, model("1.0"))
    return condition(current, traffic, RULES, now, new_labels=lambda: 7, examination=examination)


def test_the_latest_labelled_answers_say_how_good_the_champion_is() -> None:
    asked = answers(300)
    others = answers(40, "1.0", start=LIVE + 500)

    found = known(Traffic([*asked, *others], (), truth(asked[200:], 0.8) | truth(others, 0.0)))

    assert found.realised is not None
    assert found.realised.answers == 50, "of the champion's last hundred, every second"
    assert found.realised.accuracy == pytest.approx(0.8, abs=0.1), "corrected for which of them they are"
    exact = binomtest(40, 50).proportion_ci(method="wilson")
    assert found.realised.interval.low == pytest.approx(exact.low, abs=0.1)
    assert found.realised.interval.high == pytest.approx(exact.high, abs=0.1)
    assert found.examined.accuracy == 0.9
    assert (found.champion, found.version, found.new_labels, found.failed) == ("digits 2.0", "2.0", 7, {})


def test_labels_that_come_less_often_for_unsure_answers_are_corrected_for() -> None:
    asked = answers(100)
    sure = np.median([each.probabilities.max() for each in asked])
    wrong = {each.request_id: "none" for each in asked[::3] if each.probabilities.max() < sure}
    right = {each.request_id: each.label for each in asked if each.probabilities.max() >= sure}

    found = known(Traffic(asked, (), wrong | right))

    assert found.realised is not None
    assert found.realised.accuracy == pytest.approx(0.5, abs=0.08), "all labelled sure answers are right, all unsure wrong"
    assert len(right) / len(wrong | right) > 0.7, "what the labels alone would say"


def test_without_labels_the_confidence_says_it() -> None:
    found = known(Traffic(answers(300), (), {}))

    assert found.realised is None
    assert found.regression is None
    assert found.estimated is not None
    assert found.estimated.answers == 100
    assert found.estimated.interval.low <= found.estimated.accuracy <= found.estimated.interval.high


def test_an_alarm_is_told_with_the_time_of_its_window_and_only_since_the_champion_answers() -> None:
    calm, bold = answers(2 * WINDOW), answers(WINDOW, start=LIVE + 500, bold=True)
    before = answers(WINDOW, "1.0", start=LIVE - 200, bold=True)

    found = known(Traffic([*before, *calm, *bold], (), {}))

    assert found.alarms == (False, False, True)
    assert found.alarm_at == bold[-1].at


def test_windows_by_time_are_those_that_have_ended_however_many_answers_they_have() -> None:
    rules = Settings.model_construct(monitoring=Monitoring(window_seconds=1000.0), retraining=Retraining(recent=100))
    calm, bold = answers(30), answers(700, start=LIVE + 1000, bold=True)
    asked = [*calm, *bold, *answers(5, start=LIVE + 2000)]
    current = Reign(model("2.0"), LIVE - 50, LIVE, None)

    found = condition(current, Traffic(asked, (), {}), rules, LIVE + 3000, new_labels=lambda: 7, examination=examination)

    assert found.alarms == (False, True)
    assert found.alarm_at == bold[-1].at


def test_the_predecessor_is_asked_what_the_champion_was_asked() -> None:
    asked = answers(200)
    pictures = np.stack([each.image for each in asked if each.image is not None])
    theirs = reader(model("1.0"))(pictures).argmax(axis=1).tolist()
    labels = {each.request_id: CLASSES[said] for each, said in zip(asked, theirs, strict=True)}

    found, worse = known(Traffic(asked, (), labels)), known(Traffic(asked, (), truth(asked, 1.0)))

    assert found.predecessor == "digits 1.0"
    assert found.regression is not None
    assert worse.regression is not None
    assert (found.regression.labelled, found.regression.interval.low > 0) == (100, True)
    assert worse.regression.interval.high < 0


def test_nobody_is_compared_with_a_predecessor_that_is_gone() -> None:
    asked = answers(100)

    found = known(Traffic(asked, (), truth(asked, 1.0)), Reign(model("2.0"), LIVE, LIVE, None))

    assert (found.predecessor, found.regression) == ("", None)


def test_a_monitor_that_crashes_is_named_and_the_others_count() -> None:
    asked = answers(200)
    current = Reign(replace(model("2.0"), reference={"format": 99}), LIVE, LIVE, None)

    def broken() -> Scores:
        raise ZeroDivisionError("no rows")

    found = condition(
        current, Traffic(asked, (), truth(asked, 0.5)), RULES, LIVE + 500, new_labels=lambda: 3, examination=broken
    )

    assert set(found.failed) == {"drift", "estimated accuracy"}
    assert "format 99" in found.failed["drift"]
    assert found.failed["estimated accuracy"] == "ZeroDivisionError: no rows"
    assert (found.alarms, found.estimated, found.new_labels) == ((), None, 3)
    assert found.realised is not None


def test_a_day_without_traffic_and_one_whose_clock_was_set_back_have_a_rate() -> None:
    asked = answers(300)

    assert known(Traffic((), (), {})).requests_per_day == 0
    assert known(Traffic(asked, (), {}), now=LIVE + 600).requests_per_day == 300
    assert known(Traffic(asked, (), {}), now=LIVE + 2 * DAY_SECONDS).requests_per_day == pytest.approx(150)
    assert known(Traffic(asked, (), {}), now=LIVE - 50).requests_per_day == 300


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A champion that was learned, and ten requests, half of them of pictures that its snapshot has; all are labelled."""
    home = Home(tmp_path_factory.mktemp("condition") / "var")
    home.open()
    lake = Lake(home.lake)
    lake.add(packaged_digits())
    learn(home, SHORT, ListNarrator())
    examples = lake.load(next(iter(lake.snapshots().values())))
    since = History(home.history).entries()[-1].at
    journal = Journal(home.endpoint / "journal", name="test")
    made = []
    for number in range(10):
        seen = number < 5
        shown = examples.images[number] if seen else images.prepare(digit(number))
        said = np.full(10, 0.1, np.float32)
        key = str(examples.keys[number]) if seen else f"{number:064x}"
        made.append(
            Prediction(
                f"r{number}", since + 1 + number, "digits", "1.0", "direct", f"u{number}", shown,
                "3", said, np.zeros(WIDTH, np.float32), 1.0, key,
            )
        )  # fmt: skip
    journal.record(made, [Feedback(each.request_id, each.at + 60, "3") for each in made])
    journal.close()
    return home


@pytest.mark.parametrize("in_the_lake", [False, True])
def test_a_home_is_read_whole(home: Home, *, in_the_lake: bool) -> None:
    if in_the_lake:
        compact(home, Answers(home.lake), Endpoint())
    judged = History(home.history).entries()[0]

    found = gather(home, SHORT, judged.at + 100)

    assert (found.champion, found.fitted, found.live) == ("digits 1.0", judged.at, judged.at)
    assert found.new_labels == 5
    assert found.realised is not None
    assert (found.realised.answers, found.realised.accuracy) == (10, 1.0)
    assert found.estimated is not None
    assert found.failed == {}
    assert found.predecessor == ""


def test_who_was_named_last_is_champion_since_then_and_its_predecessor_may_be_gone(home: Home) -> None:
    card = replace(archive.read(home.models / "digits-1.0.mar").card, version="0.0")
    other = archive.write(home.models, replace(archive.read(home.models / "digits-1.0.mar"), card=card))
    at = History(home.history).entries()[0].at + 50
    History(home.history).record(Verdict("hand", "promote", "digits 1.0", "digits 0.0", "", {}), at)

    with_it = gather(home, SHORT, at + 100)
    other.unlink()
    without = gather(home, SHORT, at + 100)

    assert (with_it.live, with_it.predecessor) == (at, "digits 0.0")
    assert with_it.fitted == at - 50
    assert without.predecessor == ""


def test_a_home_without_a_champion_or_its_archive_is_named(home: Home, tmp_path: Path) -> None:
    empty = Home(tmp_path / "var")
    empty.open()

    with pytest.raises(DataError, match=r"^Nobody is champion in .*\. Fit the first one: demlopment train\.$"):
        gather(empty, SHORT, 0.0)
    (home.models / "digits-1.0.mar").rename(home.models / "away")
    with pytest.raises(ArchiveError, match=r"digits-1\.0\.mar does not exist"):
        gather(home, SHORT, 0.0)
