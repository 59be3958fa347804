"""Real digits and a small fixed model, so that windows of traffic can be made in any number without training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from demlopment.data.sources import packaged_digits
from demlopment.data.transform import pixels
from demlopment.records import Prediction

Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FixedModel:
    """Answers with the nearest class mean (81 % right) and embeds with fixed random features."""

    means: npt.NDArray[np.float64]  # (10, 784)
    features: npt.NDArray[np.float64]  # (784, 32)

    def answer(self, images: Pictures) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities (n, 10) and embeddings (n, 32)."""
        flat = images.reshape(len(images), -1) / 255
        scores = -((flat[:, None, :] - self.means) ** 2).sum(axis=2) / 4
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares.astype(np.float32), np.maximum(flat @ self.features, 0).astype(np.float32)

    def predictions(self, images: Pictures, version: str = "1.0") -> list[Prediction]:
        """What the journal would hold after these pictures were sent."""
        probabilities, embeddings = self.answer(images)
        return [
            Prediction(
                f"request-{n}",
                float(n),
                "digits",
                version,
                "control",
                f"unit-{n}",
                image,
                str(shares.argmax()),
                shares,
                point,
                1.0,
                hashlib.sha256(image.tobytes()).hexdigest(),
            )
            for n, (image, shares, point) in enumerate(zip(images, probabilities, embeddings, strict=True))
        ]


@dataclass(frozen=True, eq=False)
class World:
    """A model and the 4,000 digits that it did not learn from, in random order."""

    model: FixedModel
    images: Pictures  # (4000, 28, 28)
    labels: Sequence[int]


@pytest.fixture(scope="session")
def world() -> World:
    frame = packaged_digits().frame
    rng = np.random.default_rng(0)
    order = rng.permutation(5000)
    images, labels = pixels(frame)[order], frame["label"].cast(int).to_numpy()[order]
    known = images[:1000].reshape(1000, -1) / 255
    means = np.stack([known[labels[:1000] == digit].mean(axis=0) for digit in range(10)])
    features = rng.standard_normal((784, 32)) / 28
    return World(FixedModel(means, features), images[1000:], labels[1000:].tolist())
