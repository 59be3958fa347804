import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.ndimage import shift
from torch.utils.flop_counter import FlopCounterMode

from demlopment.records import Examples
from demlopment.settings import LIMITS, Profile
from demlopment.training.network import BODIES, as_tensor, initialised, moved, multiply_adds, outputs


@pytest.mark.parametrize("profile", BODIES)
@pytest.mark.parametrize("classes", [2, 10, 26, 47])
def test_any_number_of_classes_and_images_gives_logits_and_embeddings_of_their_shapes(classes: int, profile: Profile) -> None:
    network = initialised(classes, seed=1, profile=profile)

    logits, embedding = network(torch.rand(3, 1, 28, 28))

    assert logits.shape == (3, classes)
    assert embedding.shape == (3, network.head.in_features) == (3, BODIES[profile][1])


@pytest.mark.parametrize("profile", BODIES)
def test_a_network_costs_no_more_multiply_adds_than_its_profile_may_counted_as_torch_counts_them(profile: Profile) -> None:
    network = initialised(47, seed=1, profile=profile).eval()
    counter = FlopCounterMode(display=False)

    with counter:
        network(torch.zeros(1, 1, 28, 28))

    assert multiply_adds(network) == counter.get_total_flops() // 2  # torch counts the two operations apart
    assert multiply_adds(network) <= 1e6 * LIMITS[profile][1]
    assert LIMITS["default"] == (200, 1.5)


def test_the_seed_decides_the_weights_and_the_process_keeps_its_own_random_state() -> None:
    before = torch.get_rng_state()

    first, again, other = initialised(10, seed=1), initialised(10, seed=1), initialised(10, seed=2)

    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("profile", BODIES)
def test_of_no_images_nothing_is_said(profile: Profile) -> None:
    network = initialised(10, seed=1, profile=profile).eval()

    logits, embeddings = outputs(network, np.zeros((0, 28, 28), np.uint8))

    assert (logits.shape, embeddings.shape) == ((0, 10), (0, network.head.in_features))


def test_an_image_is_moved_by_whole_pixels_and_what_comes_in_is_blank() -> None:
    images = np.random.default_rng(1).random((3, 1, 28, 28), np.float32)
    moves = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1)]

    found = moved(torch.from_numpy(images), moves).numpy()

    expected = [[shift(image[0], move, order=0, mode="constant")[None] for image in images] for move in moves]
    np.testing.assert_array_equal(found, np.concatenate(expected))


def test_a_large_network_answers_with_the_mean_of_its_views_and_learns_from_one() -> None:
    network = initialised(10, seed=1, profile="large").eval()
    images = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        logits, embedding = network(images)
        each = [network.body(moved(images, [move])) for move in network.moves]
        network.train()
        learning, _ = network(images)
        alone = network.head(network.body(images))
        torch.testing.assert_close(logits, network.head(embedding))

    torch.testing.assert_close(embedding, torch.stack(each).mean(dim=0))
    assert len(network.moves) == len(set(network.moves)) == 5
    torch.testing.assert_close(learning, alone)


@pytest.mark.parametrize("classes", [2, 10, 47])
def test_a_fresh_network_knows_nothing_so_its_loss_is_the_logarithm_of_the_number_of_classes(classes: int) -> None:
    network = initialised(classes, seed=1)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(512, 1, 28, 28, generator=generator)
    labels = torch.randint(classes, (512,), generator=generator)

    loss = F.cross_entropy(network(images)[0], labels)

    assert loss.item() == pytest.approx(math.log(classes), abs=0.3)


def test_every_weight_receives_a_gradient(train: Examples) -> None:
    network = initialised(10, seed=1)

    torch.autograd.backward(F.cross_entropy(network(as_tensor(train.images[:64]))[0], torch.from_numpy(train.labels[:64])))

    silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.abs().sum() > 0]
    assert not silent


def test_outputs_do_not_depend_on_how_many_images_pass_together(unseen: Examples) -> None:
    network = initialised(10, seed=1).eval()

    together, _ = outputs(network, unseen.images[:300])  # more than one batch
    alone = np.concatenate([outputs(network, unseen.images[i : i + 1])[0] for i in range(0, 300, 50)])

    np.testing.assert_allclose(together[::50], alone, atol=1e-5)
