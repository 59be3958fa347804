"""An endpoint in memory answers as one that serves, and a day of any length takes the memory of a few pictures."""

from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, images
from demlopment.evaluation.reader import reader
from demlopment.lifecycle import arena
from tests.serving.endpoint import digit, packed

PICTURES = np.stack([images.prepare(digit(seed)) for seed in range(7)])


def test_a_days_pictures_are_read_a_few_at_once_and_answered_as_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = archive.read(packed(tmp_path, "1.0"))
    shown: list[int] = []

    def watched(pictures: images.Grey) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        shown.append(len(pictures))
        return images.as_input(pictures)

    monkeypatch.setattr(arena, "BATCH", 3)
    monkeypatch.setattr(arena, "as_input", watched)

    probabilities, embeddings = arena.asked(model, PICTURES)

    assert shown == [3, 3, 1]
    assert embeddings.shape[0] == len(PICTURES)
    alone = [reader(model)(PICTURES[row : row + 1])[0] for row in range(len(PICTURES))]
    np.testing.assert_allclose(probabilities, alone, rtol=1e-5)


def test_a_day_without_a_request_has_no_answers(tmp_path: Path) -> None:
    probabilities, embeddings = arena.asked(archive.read(packed(tmp_path, "1.0")), PICTURES[:0])

    assert len(probabilities) == len(embeddings) == 0
