import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from demlopment.errors import ArchiveError
from demlopment.evaluation import cost
from demlopment.images import as_input
from demlopment.records import Examples
from demlopment.settings import LIMITS, Profile
from demlopment.training import Fitted
from demlopment.training import export as export_a_network
from demlopment.training.network import BODIES, Network, initialised, multiply_adds


class Shifting(Network):
    """Does something beside its layers, which no exported graph can know."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, embedding = super().forward(images)
        return logits + 1e-3, embedding


def fresh(seed: int = 1) -> Fitted:
    return Fitted(initialised(10, seed).eval(), 1.0, (), 0.0)


def run(network: bytes, pictures: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return list(session.run(["logits", "embedding"], {"image": pictures}))


@pytest.mark.parametrize("batch", [1, 5, 64, 333])
def test_onnx_runtime_and_torch_agree_on_real_digits(fitted: Fitted, unseen: Examples, batch: int) -> None:
    pictures = as_input(unseen.images[:batch])

    logits, embedding = run(export_a_network(fitted), pictures)

    with torch.inference_mode():
        expected = fitted.network(torch.from_numpy(pictures))
    np.testing.assert_allclose(logits, expected[0], atol=1e-4)
    np.testing.assert_allclose(embedding, expected[1], atol=1e-4)


def test_equal_weights_give_equal_bytes_and_other_weights_do_not() -> None:
    first, again, other = export_a_network(fresh(1)), export_a_network(fresh(1)), export_a_network(fresh(2))

    assert first == again
    assert first != other


def test_the_file_is_small_valid_and_says_what_it_reads_and_answers(fitted: Fitted) -> None:
    network = export_a_network(fitted)

    graph = onnx.load_from_string(network).graph
    assert len(network) <= 200_000
    assert [value.name for value in graph.input] == ["image"]
    assert [value.name for value in graph.output] == ["logits", "embedding"]


@pytest.mark.parametrize("profile", BODIES)
@pytest.mark.parametrize("classes", [2, 47])
def test_any_number_of_classes_can_be_exported_within_the_size_of_the_profile(classes: int, profile: Profile) -> None:
    network = export_a_network(Fitted(initialised(classes, 1, profile).eval(), 1.0, (), 0.0))

    assert len(network) <= 1000 * LIMITS[profile][0]
    assert run(network, np.zeros((1, 1, 28, 28), np.float32))[0].shape == (1, classes)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_network_of_several_views_is_exported_with_them(unseen: Examples, batch: int) -> None:
    large = Fitted(initialised(10, 1, "large").eval(), 1.0, (), 0.0)
    pictures = as_input(unseen.images[:batch])

    network = export_a_network(large)

    with torch.inference_mode():
        expected = large.network(torch.from_numpy(pictures))
    for found, wanted in zip(run(network, pictures), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert cost.multiply_adds(network) == multiply_adds(large.network)


def test_a_layer_that_export_does_not_know_is_named() -> None:
    unusual = fresh()
    unusual.network.body.append(nn.Hardswish())

    with pytest.raises(ArchiveError, match="layer Hardswish cannot be written"):
        export_a_network(unusual)


def test_weights_that_are_not_numbers_are_not_exported() -> None:
    broken = fresh()
    with torch.no_grad():
        broken.network.head.weight[0, 0] = torch.nan

    with pytest.raises(ArchiveError, match="differs from the fitted one by nan"):
        export_a_network(broken)


def test_a_network_that_computes_something_else_is_refused_with_the_difference() -> None:
    shifting = Shifting(10).eval()

    with pytest.raises(ArchiveError, match=r"differs from the fitted one by 0\.001 in a batch of 1,"):
        export_a_network(Fitted(shifting, 1.0, (), 0.0))
