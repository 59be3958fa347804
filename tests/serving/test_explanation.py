import numpy as np
import pytest

from demlopment import images
from demlopment.images import Grey
from demlopment.serving.engine import Network, load
from demlopment.serving.explanation import REACH, saliency
from demlopment.serving.state import Version
from tests.serving.endpoint import digit, packed


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    store = tmp_path_factory.mktemp("models")
    file = packed(store, "1.0").name
    return load(store, ("digits", "1.0"), Version(file, file, 1, 1))


def slowly(network: Network, image: Grey, chosen: int) -> np.ndarray:
    """The oracle: one picture and one run for each of the 784 places."""
    found = np.zeros((28, 28))
    whole = network.run(image[np.newaxis])[0][0, chosen]
    for row in range(28):
        for column in range(28):
            hidden = image.copy()
            hidden[max(row - REACH, 0) : row + REACH + 1, max(column - REACH, 0) : column + REACH + 1] = 0
            found[row, column] = whole - network.run(hidden[np.newaxis])[0][0, chosen]
    return found


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_map_is_what_one_run_for_each_place_gives(network: Network, seed: int) -> None:
    image = images.prepare(digit(seed))
    chosen = int(network.run(image[np.newaxis])[0][0].argmax())

    found = saliency(image, chosen, lambda batch: network.run(batch)[0], batch=64)

    assert found.shape == (28, 28)
    assert found.dtype == np.float32
    assert np.abs(found).max() > 0.01, "a map of nothing would show nothing"
    np.testing.assert_allclose(found, slowly(network, image, chosen), atol=1e-5)


def test_only_places_near_ink_are_asked_and_never_more_at_once_than_allowed() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[10, 10] = 255
    sizes: list[int] = []

    def run(batch: Grey) -> np.ndarray:
        sizes.append(len(batch))
        return np.asarray(batch.reshape(len(batch), -1).max(axis=1, keepdims=True) / 255, np.float32)

    found = saliency(image, 0, run, batch=10)

    assert sizes == [10, 10, 6], "the picture itself and the 25 places whose square hides its pixel"
    assert found.sum() == 25
    assert (found[8:13, 8:13] == 1).all()


def test_a_blank_picture_hangs_on_nothing_and_asks_nothing() -> None:
    def run(batch: Grey) -> np.ndarray:
        raise AssertionError("asked")

    assert not saliency(np.zeros((28, 28), np.uint8), 0, run, batch=64).any()
