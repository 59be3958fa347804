"""Other classes than the ten digits need only a setting: drawn letters are ingested, audited, learnt and served."""

from pathlib import Path

import cv2
import httpx2
import numpy as np
import pytest

from demlopment import archive, images
from demlopment.data import Lake
from demlopment.home import Home
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.rollout import endpoint
from demlopment.settings import Data, Endpoint, Evaluation, Gate, Settings, Training
from tests.data.sources.written import idx_bytes
from tests.fakes import ListNarrator
from tests.test_cli import run

LETTERS = "ABC"
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def drawn(letter: str, rng: np.random.Generator) -> np.ndarray:
    """A letter as a hand might lean it: a font, a thickness, a slant, a width."""
    paper = np.zeros((28, 28), np.uint8)
    font, thickness = FONTS[rng.integers(len(FONTS))], int(rng.integers(1, 4))
    cv2.putText(paper, letter, (4, 24), font, 0.9, 255, thickness, cv2.LINE_AA)
    lean = np.array([[rng.uniform(0.7, 1.1), rng.uniform(-0.4, 0.4), rng.uniform(-3, 3)], [rng.uniform(-0.2, 0.2), 1, 0]])
    return cv2.warpAffine(paper, lean, (28, 28))


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EMNIST's way to write letters: transposed pictures, numbers from 1, and a mapping."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("letters")
    numbers = np.arange(360) % len(LETTERS)
    pictures = np.stack([drawn(LETTERS[number], rng).T for number in numbers])
    path = folder / "emnist-letters-train-images-idx3-ubyte"
    path.write_bytes(idx_bytes(pictures))
    (folder / "emnist-letters-train-labels-idx1-ubyte").write_bytes(idx_bytes((numbers + 1).astype(np.uint8)))
    (folder / "emnist-letters-mapping.txt").write_text("".join(f"{n} {ord(c)}\n" for n, c in enumerate(LETTERS, 1)))
    return path


def test_letters_are_ingested_shown_learnt_and_served(letters: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "var")
    settings = Settings.model_construct(
        data=Data(classes=LETTERS),
        training=Training(epochs=8),
        # The cases are those of digits, and 96 rows that nobody learned from prove little of labels and confidence.
        evaluation=Evaluation(behaviour="tell", most_doubted_labels=0.05, least_calibration_slope=0),
        gate=Gate(),
        endpoint=Endpoint(inference_port=0),
    )
    there = {"home": home.root, "DEMLOPMENT_DATA__CLASSES": LETTERS}

    ingested = run("data", "ingest", "--from", letters, **there)  # type: ignore[arg-type]  # variables after the home
    verdict = learn(home, settings, ListNarrator())
    (snapshot,) = Lake.of(home, settings.data).snapshots()
    shown, audited = (run("data", word, snapshot, **there) for word in ("show", "audit"))  # type: ignore[arg-type]
    card = archive.read(home.models / "digits-1.0.mar").card
    with endpoint(home, settings.endpoint) as rollout:
        rng = np.random.default_rng(6)
        asked = [letter for letter in LETTERS for _ in range(5)]
        answers = [
            httpx2.post(
                f"{rollout.inference}/predictions/digits",
                content=images.encode_png(drawn(letter, rng)),
                headers=rollout.headers,
            ).text
            for letter in asked
        ]

    assert ingested.stdout == "360 rows: 360 added, 0 known, 0 in quarantine.\n"
    assert verdict.decision == "promote"
    assert "classes      A: 120, B: 120, C: 120" in shown.stdout
    assert audited.returncode == 0
    assert card.classes == tuple(LETTERS)
    assert set(answers) <= set(LETTERS)
    assert sum(said == meant for said, meant in zip(answers, asked, strict=True)) >= 12  # of 15
