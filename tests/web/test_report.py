"""The report opens anywhere, says what happened, and survives whatever a turn brings. The stories are made up."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from demlopment import images, web
from demlopment.errors import HomeError
from demlopment.lifecycle.story import Fit, Story
from demlopment.records import BadRow, DriftReport, Epoch, Exhibit, Snapshot
from demlopment.web import palette
from tests import fakes
from tests.web import pages

HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)> \"' {{ 7 * 7 }} & \x00"
HARMLESS = re.sub("[^ ]", "x", HOSTILE)  # as long, and with as many words
LARGEST = 600_000  # bytes: so that the page can be sent by mail and opens at once


def perfect(fit: Fit) -> Fit:
    probabilities = np.eye(10, dtype=np.float32)[fit.scores.labels]
    scores = replace(fit.scores, probabilities=probabilities, log_loss=0.0, calibration_error=0.0)
    return replace(fit, scores=scores, uncalibrated=scores, mistakes=())


def diverged(fit: Fit) -> Fit:
    nothing = np.full_like(fit.scores.probabilities, np.nan)
    scores = replace(fit.scores, probabilities=nothing, log_loss=math.nan, calibration_error=math.nan)
    curve = (Epoch(math.nan, math.inf, math.nan), Epoch(2.0, 1e300, 0.1))
    return replace(fit, scores=scores, uncalibrated=scores, curve=curve, temperature=math.nan)


def with_p(story: Story, p: float) -> tuple[DriftReport, ...]:
    return tuple(replace(window, tests=tuple(replace(test, p_value=p) for test in window.tests)) for window in story.windows)


def full() -> tuple[Exhibit, ...]:
    """As much as there can ever be to show, of pictures that no PNG makes small."""
    rng = np.random.default_rng(1)
    rows = [BadRow("x" * 40, "y" * 40, images.encode_png(rng.integers(0, 256, (28, 28), np.uint8)), 10**9) for _ in range(3)]
    return tuple(Exhibit(f"reason {number}", 10**9, tuple(rows)) for number in range(12))


STORY = fakes.story()
EDGES = {
    "as it should be": STORY,
    "no reading over time": replace(STORY, reading=replace(STORY.reading, sequence=())),
    "no labels at all": replace(
        STORY, labelled=0, window_accuracy=tuple((start, 0, 0) for start, _, _ in STORY.window_accuracy)
    ),
    "no labels in the arms": replace(
        STORY, reading=replace(STORY.reading, control=replace(STORY.reading.control, labelled=0, correct=0))
    ),
    "accuracy 1.0": replace(STORY, fits=tuple(map(perfect, STORY.fits))),
    "p-values of 0": replace(STORY, windows=with_p(STORY, 0.0)),
    "p-values of 1": replace(STORY, windows=with_p(STORY, 1.0)),
    "no p-values": replace(STORY, windows=with_p(STORY, math.nan)),
    "one fit": replace(STORY, fits=STORY.fits[-1:]),
    "no fit": replace(STORY, fits=()),
    "a champion of an earlier turn": replace(STORY, champion="digits 0.9", verdicts=()),
    "an empty quarantine": replace(
        STORY, ingests=tuple(replace(each, quarantined={}, rejected=0, planted=0) for each in STORY.ingests), quarantine=()
    ),
    "a full quarantine": replace(STORY, quarantine=full()),
    "no ingest": replace(STORY, ingests=(), snapshots=(), parts={}),
    "no window": replace(STORY, windows=(), window_accuracy=()),
    "no request": replace(STORY, requests=0, labelled=0, windows=(), window_accuracy=(), change_at=0),
    "nothing changed": replace(STORY, change_at=10_000),
    "no pictures": replace(STORY, samples=(), drift_samples=()),
    "a network that diverged": replace(STORY, fits=tuple(map(diverged, STORY.fits))),
    "a fit without epochs": replace(STORY, fits=tuple(replace(fit, curve=()) for fit in STORY.fits)),
    "as many mistakes as are shown": replace(
        STORY, fits=tuple(replace(fit, mistakes=STORY.samples[:12]) for fit in STORY.fits)
    ),
    "no steps": replace(STORY, report_steps=()),
}


@pytest.fixture(params=EDGES)
def edge(request: pytest.FixtureRequest) -> Story:
    return EDGES[request.param]


def test_the_page_is_whole_whatever_happened(edge: Story) -> None:
    html = web.render(edge)

    assert pages.Page(html).faults == []
    assert [stray for drawing in pages.drawings(html) for stray in pages.strays(drawing)] == []
    assert len(html.encode()) < LARGEST


def test_the_picture_is_whole_whatever_happened(edge: Story) -> None:
    svg = web.picture(edge)

    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(r"\bnan\b|\binf\b", svg)


def test_the_page_asks_for_nothing_outside_itself() -> None:
    page = pages.Page(web.render(STORY))

    addresses = [a[key] or "" for _, a in page.tags for key in ("src", "href", "srcset", "data", "action") if key in a]
    assert len(addresses) > 40
    assert [address for address in addresses if not address.startswith(("data:image/png;base64,", "#"))] == []
    assert {"script", "link", "iframe", "object", "embed", "base", "form"}.isdisjoint(name for name, _ in page.tags)
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_the_page_forbids_the_browser_to_load_anything() -> None:
    html = web.render(STORY)

    styles = "".join(re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL))
    policies = [meta["content"] for meta in pages.Page(html).all("meta") if meta.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert len(styles) > 1000
    assert not re.search(r"url\(|@import", styles)


def test_the_links_of_the_page_lead_somewhere() -> None:
    page = pages.Page(web.render(STORY))

    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [(link["href"] or "").removeprefix("#") for link in page.all("a")]
    assert len(links) == 7
    assert set(links) <= targets


def test_hostile_text_adds_no_tag_and_is_shown_as_it_is() -> None:
    harmless, hostile = (pages.Page(web.render(poisoned(words))) for words in (HARMLESS, HOSTILE))

    assert [name for name, _ in hostile.tags] == [name for name, _ in harmless.tags]
    assert [sorted(attributes) for _, attributes in hostile.tags] == [sorted(attributes) for _, attributes in harmless.tags]
    assert hostile.text.count("<script>alert(1)</script>") >= 15
    assert "{{ 7 * 7 }}" in hostile.text


def test_hostile_text_stays_text_in_the_picture() -> None:
    harmless, hostile = (ElementTree.fromstring(web.picture(poisoned(words))) for words in (HARMLESS, HOSTILE))

    assert [mark.tag for mark in hostile.iter()] == [mark.tag for mark in harmless.iter()]


def spoken(row: BadRow, words: str) -> BadRow:
    return replace(row, label=words, source=words, head=row.head and words.encode())


def test_bad_rows_are_shown_by_reason_with_their_picture_or_what_they_are_instead() -> None:
    page = pages.Page(web.render(STORY))

    alts = [image["alt"] for image in page.all("img")]
    assert [alt for alt in alts if alt and alt.startswith("A bad row")] == [
        f"A bad row labelled {label}: label outside 0 to 9" for label in ("12", "x", "-1")
    ]
    assert "783 bytes: 00 00 00 00 00 00 00 00 …" in page.text
    for words in ("label outside 0 to 9 3 rows", "image missing 1 row", "no picture", "0 bytes", "no label"):
        assert words in page.text


def poisoned_fit(fit: Fit, words: str) -> Fit:
    said = tuple(replace(sample, said=words, true=words) for sample in fit.mistakes)
    scores, before = (replace(each, model=words) for each in (fit.scores, fit.uncalibrated))
    return replace(fit, title=words, purpose=words, mistakes=said, scores=scores, uncalibrated=before)


def poisoned(words: str) -> Story:
    """A story whose every text is `words`."""
    windows = tuple(replace(each, tests=tuple(replace(test, name=words) for test in each.tests)) for each in STORY.windows)
    control, treatment = (replace(arm, version=words) for arm in (STORY.reading.control, STORY.reading.treatment))
    verdicts = tuple(replace(v, subject=words, against=words, reason=words, evidence={words: words}) for v in STORY.verdicts)
    return replace(
        STORY,
        champion=words,
        classes=(words,) * 10,
        snapshots=(Snapshot(words, 1, words, 10, words),),
        parts={words: 10},
        ingests=tuple(replace(each, source=words, sha256=words, quarantined={words: 1}) for each in STORY.ingests),
        quarantine=tuple(
            replace(each, reason=words, shown=tuple(spoken(row, words) for row in each.shown)) for each in STORY.quarantine
        ),
        fits=tuple(poisoned_fit(fit, words) for fit in STORY.fits),
        verdicts=verdicts,
        samples=tuple(replace(sample, said=words, true=words) for sample in STORY.samples),
        reading=replace(STORY.reading, control=control, treatment=treatment, sentence=words),
        windows=windows,
        report_steps=((words, words, 1.0),),
    )


def test_the_page_says_the_verdict_first() -> None:
    text = pages.Page(web.render(STORY)).text

    places = [text.index(words) for words in ("digits 4.0 serves now.", STORY.verdicts[-1].reason, "98.7\u202f%", "1,200")]
    assert places == sorted(places)
    assert places[-1] < text.index("The loop, step by step")
    assert "100 requests from the true change" not in text
    assert "from the true change of pens to the drift alarm; no alarm before it 100 requests" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda story: replace(story, windows=with_p(story, 1e-9)), "6 false alarms before it"),
        (lambda story: replace(story, windows=with_p(story, 0.5)), "although the pens changed at request 600"),
        (lambda story: replace(story, change_at=10_000), "the pens did not change"),
        (lambda story: replace(story, unjournalled=3), "3 of them missing from the journal"),
        (lambda story: replace(story, torn_units=2), "2 users met both models, which must not happen"),
        (lambda story: replace(story, reading=replace(story.reading, sequence=())), "No label came back"),
    ],
)
def test_the_page_admits_what_went_wrong(change: Callable[[Story], Story], sentence: str) -> None:
    assert sentence not in pages.Page(web.render(STORY)).text
    assert sentence in pages.Page(web.render(change(STORY))).text


def test_every_reason_of_every_verdict_and_quarantine_is_on_the_page() -> None:
    text = pages.Page(web.render(STORY)).text

    reasons = [verdict.reason for verdict in STORY.verdicts] + [r for each in STORY.ingests for r in each.quarantined]
    assert len(reasons) == 7
    assert [reason for reason in reasons if reason not in text] == []


def test_everything_that_is_only_seen_is_also_said() -> None:
    page = pages.Page(web.render(STORY))

    pictures, charts = page.all("img"), page.all("svg")
    assert len(pictures) == 50
    assert len(charts) >= 14
    assert all(picture["alt"] for picture in pictures)
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))


def test_the_contact_sheet_of_the_shown_network_is_on_the_page_pixel_by_pixel() -> None:
    page, shown = pages.Page(web.render(STORY)), STORY.fits[-1].sheet

    drawn = [pages.pixels(img["src"]) for img in page.all("img") if (img["alt"] or "").startswith("Training pictures")]

    assert len(drawn) == 1
    assert drawn[0].shape == (10 * 30 - 2, 8 * 30 - 2)
    padded = np.pad(drawn[0], ((0, 2), (0, 2))).reshape(10, 30, 8, 30).transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(padded[:, :, :28, :28], shown)
    assert "Training pictures of the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, each with 7 versions" in str(page.all("img"))


def test_the_mistakes_of_the_shown_network_are_on_the_page_as_pictures_in_their_order() -> None:
    page, shown = pages.Page(web.render(STORY)), STORY.fits[-1].mistakes

    following = page.text[page.text.index("Pictures of its most frequent mistakes") :]
    said = [f"✕ {sample.true} read as {sample.said} {round(100 * sample.confidence)}\u202f% sure" for sample in shown]
    assert [following.index(words) for words in said] == sorted(following.index(words) for words in said)
    drawn = [pages.pixels(image["src"]) for image in page.all("img")]
    assert all(any(np.array_equal(sample.image, picture) for picture in drawn) for sample in shown)


def test_the_reliability_before_and_after_calibration_stands_side_by_side_with_both_errors() -> None:
    page = pages.Page(web.render(STORY))

    labels = [chart["aria-label"] or "" for chart in page.all("svg")]
    assert [label for label in labels if label.startswith("Reliability")] == [
        "Reliability of digits 4.0 before calibration: its calibration error is 3.4\u202f%",
        "Reliability of digits 4.0 after calibration: its calibration error is 1.1\u202f%",
    ]
    for sentence in ("Before, at temperature 1: calibration error 3.4", "After, at temperature 1.50: calibration error 1.1"):
        assert sentence in page.text


def test_a_wrong_answer_is_marked_without_colour() -> None:
    text = pages.Page(web.render(STORY)).text

    assert text.count("✕ 0 read as 5") == 3
    assert "✓ read as 4" in text


def test_the_same_story_gives_the_same_page() -> None:
    assert web.render(STORY) == web.render(fakes.story())


def test_writing_replaces_the_report_of_the_turn_before(tmp_path: Path) -> None:
    folder = tmp_path / "report"

    first = web.write(replace(STORY, champion="digits 3.0"), folder)
    second = web.write(STORY, folder)

    assert first == second == folder / "report.html"
    assert second.read_text("utf-8") == web.render(STORY)
    assert sorted(folder.iterdir()) == [second, folder / "timeline.svg"]
    assert (folder / "timeline.svg").read_text("utf-8") == web.picture(STORY)


def test_text_that_cannot_be_encoded_does_not_stop_the_report(tmp_path: Path) -> None:
    path = web.write(replace(STORY, report_steps=(("Fit", "half a character: \ud83d", 1.0),)), tmp_path)

    assert "half a character: ?" in path.read_text("utf-8")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file where a folder is needed")

    with pytest.raises(HomeError, match=re.escape(str(tmp_path / "report"))):
        web.write(STORY, tmp_path / "report")


def test_the_picture_reads_in_any_viewer() -> None:
    svg = web.picture(STORY)

    assert "var(" not in svg
    assert not re.search(r"url\(|href|@import|@media", svg)
    assert f".paper {{ fill: {palette.LIGHT['paper']}" in svg
    assert "The pens change, the alarm comes 100 requests later, and digits 4.0 takes over" in svg


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "muted", "blue", "teal", "orange"])
@pytest.mark.parametrize("behind", ["paper", "panel"])
def test_every_text_colour_stands_out_from_what_is_behind_it(colours: dict[str, str], name: str, behind: str) -> None:
    lighter, darker = sorted((_luminance(colours[name]), _luminance(colours[behind])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
