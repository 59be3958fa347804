"""Production with a known truth: all from one seed, a change begins where it says, labels are as late and as lost as stated."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, kstest

from demlopment import images
from demlopment.errors import DataError
from demlopment.lifecycle.production import DAY, NEW_PEN, STRANGER, Change, Kind, Setting, labels, letters, requests, script
from demlopment.lifecycle.scribes import Device, Guild, Scribe, sent, written
from demlopment.lifecycle.simulate import send
from demlopment.monitoring.pictures import picture_statistics
from demlopment.records import Examples
from demlopment.serving import read
from tests.serving.endpoint import CLASSES, free_ports, registered, running

KINDS: tuple[Kind, ...] = ("pen", "scanner", "writers", "labels", "concept", "quality", "outliers", "attack")
TRUTH = np.repeat(np.arange(10), 20)
SMALL = Setting(requests=60, seed=3, writers=9)


def changed(kind: Kind, at: int = 30, setting: Setting = SMALL, **more: object) -> Setting:
    return replace(setting, change=Change(kind, at=at, **more))  # type: ignore[arg-type]


def stroke(top: int = 4, left: int = 13) -> images.Grey:
    picture = np.zeros((28, 28), np.uint8)
    picture[top : top + 20, left : left + 3] = 255
    return picture


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Twenty pictures of each class; those of a class have as many bars as the class."""
    rng = np.random.default_rng(5)
    pictures = np.zeros((len(TRUTH), 28, 28), np.uint8)
    for picture, label in zip(pictures, TRUTH, strict=True):
        picture[4:24, 12 + rng.integers(0, 3) :][:, :4] = 255
        picture[[4 + 2 * bar for bar in range(label)], 4:24] = 255
    return Examples(np.arange(len(TRUTH)).astype(np.str_), pictures, TRUTH, np.full(len(TRUTH), "x"), np.full(len(TRUTH), ""))


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_the_same_seed_gives_the_same_stream_and_another_seed_another(kind: Kind, examples: Examples) -> None:
    setting = changed(kind)

    first, again, other = (
        list(requests(script(TRUTH, each), examples)) for each in (setting, setting, replace(setting, seed=4))
    )

    assert first == again
    assert first != other
    assert labels(script(TRUTH, setting)) == labels(script(TRUTH, setting)) != []


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_begins_at_its_request_and_leaves_all_before_it_alone(kind: Kind, examples: Examples) -> None:
    calm, moved = (list(requests(script(TRUTH, each), examples)) for each in (SMALL, changed(kind)))

    differing = [index for index, (one, other) in enumerate(zip(calm, moved, strict=True)) if one != other]

    assert differing, "it changes something"
    assert differing[0] >= 30
    assert [one.at for one in calm] == [other.at for other in moved]
    assert kind in ("labels", "concept", "attack") or differing[0] == 30


@given(st.sampled_from(KINDS), st.sampled_from(["abrupt", "gradual", "recurring"]), st.integers(0, 400), st.integers(1, 300))
def test_a_change_touches_what_its_course_says(kind: Kind, course: str, at: int, length: int) -> None:
    change = Change(kind, course, at=at, length=length)  # type: ignore[arg-type]

    touched = script(TRUTH, Setting(requests=400, change=change)).touched

    since = np.arange(400) - at
    assert not touched[since < 0].any()
    whole = {"abrupt": since >= 0, "gradual": since + 1 >= length, "recurring": (since >= 0) & (since % (2 * length) < length)}
    assert touched[whole[course] & (since >= 0)].all()
    assert course != "recurring" or not touched[(since >= 0) & ~whole[course]].any()


def test_a_gradual_change_and_a_share_touch_as_many_as_they_say() -> None:
    n = 20_000
    gradual = script(TRUTH, Setting(requests=n, change=Change("pen", "gradual", at=0, length=n))).touched
    part = script(TRUTH, Setting(requests=n, change=Change("pen", share=0.3))).touched

    quarters = gradual.reshape(4, -1).mean(axis=1)
    assert quarters == pytest.approx([0.125, 0.375, 0.625, 0.875], abs=0.03)
    assert binom.cdf(part.sum(), n, 0.3) == pytest.approx(0.5, abs=0.499)


@given(st.floats(0, 1), st.floats(1, 10 * DAY), st.integers(0, 1000))
def test_labels_are_late_and_lost_at_the_stated_rates(lost: float, delay: float, seed: int) -> None:
    n = 2000
    plan = script(TRUTH, Setting(requests=n, seed=seed, lost=lost, delay=delay))

    come = labels(plan)

    assert binom.ppf(1e-6, n, 1 - lost) <= len(come) <= binom.ppf(1 - 1e-6, n, 1 - lost)
    assert [each.at for each in come] == sorted(each.at for each in come)
    assert all(each.meant == plan.classes[each.request] and each.at > plan.at[each.request] for each in come)
    if len(come) > 100:
        waits = np.array([each.at - plan.at[each.request] for each in come])
        assert kstest(waits / delay, "expon").pvalue > 1e-6


def test_a_day_has_its_rhythm_and_its_number_of_requests() -> None:
    plan = script(TRUTH, Setting(requests=40_000, per_day=2000, rhythm=0.8))

    hours = plan.at % DAY / 3600
    day, night = (np.mean((hours >= start) & (hours < start + 6)) for start in (9, 21))
    after_midnight = np.mean(hours < 3)

    assert plan.at[-1] / DAY == pytest.approx(20, rel=0.05)
    assert (np.diff(plan.at) >= 0).all()
    # The mean of 1 - 0.8 cos over a quarter of the day around noon, and around midnight.
    assert day == pytest.approx(0.25 + 0.8 * np.sqrt(2) / (2 * np.pi), abs=0.02)
    assert after_midnight + np.mean(hours >= 21) == pytest.approx(0.25 - 0.8 * np.sqrt(2) / (2 * np.pi), abs=0.02)
    assert day > night


def test_the_mix_is_the_stated_one_and_shifts_to_the_named_classes() -> None:
    mix = (0.19, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09)
    plan = script(TRUTH, Setting(requests=40_000, mix=mix, change=Change("labels", at=20_000, times=3.0)))

    before, after = (np.bincount(half, minlength=10) / 20_000 for half in np.split(plan.classes, 2))

    assert before == pytest.approx(mix, abs=0.01)
    expected = np.array(mix) * np.where(np.isin(np.arange(10), (1, 7)), 3, 1)
    assert after == pytest.approx(expected / expected.sum(), abs=0.01)
    assert (TRUTH[plan.rows] == plan.classes).all()


def test_a_concept_is_written_with_the_pictures_of_another_class_and_keeps_its_meaning() -> None:
    plan = script(TRUTH, Setting(requests=4000, change=Change("concept", at=2000)))

    pictured = TRUTH[plan.rows]

    fours = plan.classes == 4
    assert (pictured[:2000] == plan.classes[:2000]).all()
    assert (pictured[2000:][fours[2000:]] == 9).all()
    assert (pictured[2000:][~fours[2000:]] == plan.classes[2000:][~fours[2000:]]).all()
    assert fours[2000:].mean() == pytest.approx(0.1, abs=0.03)


def test_outliers_have_no_class_and_no_label_and_half_of_them_are_blank(examples: Examples) -> None:
    plan = script(TRUTH, Setting(requests=300, lost=0.0, change=Change("outliers", at=100, share=0.5)))

    strange = plan.touched
    blank = np.array([not images.prepare(each.picture).any() for each in requests(plan, examples)])

    assert (plan.classes == STRANGER).tolist() == strange.tolist() == (plan.rows == STRANGER).tolist()
    assert {each.request for each in labels(plan)} == set(np.flatnonzero(~strange).tolist())
    assert 0.3 < blank[strange].mean() < 0.7
    assert not blank[~strange].any()


def test_an_attack_sends_one_picture_of_one_unit_again_and_again(examples: Examples) -> None:
    plan = script(TRUTH, Setting(requests=80, change=Change("attack", at=40, share=0.5)))

    sent_ = list(requests(plan, examples))

    alike = [(each.unit, each.picture) for each, touched in zip(sent_, plan.touched, strict=True) if touched]
    assert len(alike) > 10
    assert len(set(alike)) == 1
    assert len({each.picture for each in sent_}) == 80 - len(alike) + 1


def test_a_hand_leans_presses_and_spreads_its_ink_as_it_says() -> None:
    plain, leaning = (
        picture_statistics(images.prepare(written(stroke(), hand))[None]) for hand in (Scribe(), Scribe(slant=0.3))
    )
    usual, thick, thin = (
        int((written(stroke(), hand) < 128).sum()) for hand in (Scribe(), Scribe(pen=NEW_PEN), Scribe(pen=-0.5))
    )

    # `slant` counts pixels to the right for each pixel down, so what leans to the right has less of it.
    assert leaning["slant"][0] - plain["slant"][0] == pytest.approx(-0.3, abs=0.05)
    # A stroke of 3 by 20 pixels, with that much more or less at each edge.
    assert thick / usual == pytest.approx((3 + 1.5) * (20 + 1.5) / 60, rel=0.1)
    assert thin / usual == pytest.approx((3 - 1) * (20 - 1) / 60, rel=0.1)
    assert written(stroke(), Scribe(pressure=0.5)).min() == pytest.approx(128, abs=1)
    assert int((written(stroke(), Scribe(size=0.5)) < 128).sum()) == pytest.approx(usual / 4, rel=0.1)


@pytest.mark.parametrize("device", ["canvas", "scanner", "photo", "other scanner"])
def test_a_device_leaves_the_character_where_it_can_be_read(device: Device) -> None:
    rng = np.random.default_rng(1)
    digit = images.prepare(stroke())

    seen = [images.prepare(sent(digit, Scribe(), device, rng)) for _ in range(30)]

    alike = [np.corrcoef(digit.ravel(), each.ravel())[0, 1] for each in seen]
    assert np.median(alike) > 0.8
    assert len({each.tobytes() for each in seen}) > 1 or device == "canvas"


def test_a_broken_camera_hides_more_than_a_photo() -> None:
    rng = np.random.default_rng(1)
    digit = images.prepare(stroke())

    whole, broken = (
        np.mean([np.corrcoef(digit.ravel(), images.prepare(sent(digit, Scribe(), of, rng)).ravel())[0, 1] for _ in range(20)])
        for of in ("photo", "broken camera")
    )

    assert broken < whole - 0.1


def test_a_guild_has_the_means_it_says() -> None:
    drawn = Guild(slant=(0.1, 0.05), pen=(0.4, 0.1)).drawn(np.random.default_rng(1), 4000)

    assert np.mean([each.slant for each in drawn]) == pytest.approx(0.1, abs=0.01)
    assert np.std([each.pen for each in drawn]) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (Setting(requests=0), "has 0 requests"),
        (Setting(lost=1.5), r"share 1\.5 of the labels"),
        (Setting(rhythm=1.0), r"rhythm of the day is 1\.0"),
        (Setting(mix=(0.5, 0.5)), "mix has 2 classes and the examples 10"),
        (Setting(change=Change("pen", share=-0.1)), r"touches the share -0\.1"),
        (Setting(change=Change("pen", length=0)), "length 0"),
        (Setting(change=Change("concept", concept=(4, 12))), "class beyond 9"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting: Setting, words: str) -> None:
    with pytest.raises(DataError, match=words):
        script(TRUTH, setting)


def test_examples_without_one_of_their_classes_are_refused() -> None:
    with pytest.raises(DataError, match="A class has no example"):
        script(TRUTH[TRUTH != 3], Setting())


def test_a_device_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match="no device 'fax'"):
        sent(stroke(), Scribe(), "fax", np.random.default_rng(1))  # type: ignore[arg-type]


def test_a_stream_is_sent_to_an_endpoint_over_http_with_its_labels(tmp_path: Path, examples: Examples) -> None:
    plan = script(TRUTH, changed("outliers", setting=replace(SMALL, delay=DAY / 100, lost=0.0)))
    told = labels(plan)
    registered(tmp_path, "1.0")

    with running(tmp_path, free_ports(processes=1)) as endpoint:
        sent_letters = letters(plan, examples, CLASSES)
        answers = send(sent_letters, str(endpoint.inference.base_url), "digits", headers={}, progress=lambda _: None)
    predictions, feedback = read(tmp_path / "endpoint/journal")

    known = {answers[each.request].request_id: CLASSES[each.meant] for each in told}
    assert len(told) < len(sent_letters) == len(predictions) == 60, "what has no class has no label"
    assert {said.request_id: said.label for said in feedback} == known
    by_id = {each.request_id: each.unit for each in predictions}
    assert [by_id[answer.request_id] for answer in answers] == [letter.unit for letter in sent_letters]


@given(st.floats(1.0, 2 * DAY))
def test_a_label_is_said_after_the_requests_that_come_before_it(delay: float) -> None:
    plan = script(TRUTH, replace(SMALL, delay=delay, lost=0.3))
    names = np.arange(200).astype(np.str_)
    pictures = Examples(names, np.full((200, 28, 28), 9, np.uint8), TRUTH, names, names)

    said = letters(plan, pictures, CLASSES)

    for index, letter in enumerate(said):
        if letter.label_after is None:
            assert not np.isfinite(plan.label_at[index])
        else:
            assert index <= letter.label_after
            assert plan.at[letter.label_after] <= plan.label_at[index]
            assert letter.label_after == len(said) - 1 or plan.label_at[index] < plan.at[letter.label_after + 1]
