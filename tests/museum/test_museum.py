"""The failure museum: each classic defect, switched on alone in the real pipeline, is refused by the check that is named here.

A defect that nothing refuses is a missing check. Without a defect the same pipeline passes them all.
"""

import copy
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from demlopment import archive, training
from demlopment.archive import Card
from demlopment.data import split
from demlopment.errors import DataError, NotReadyError
from demlopment.lifecycle import collect, packing
from demlopment.lifecycle.collect import Collected
from demlopment.lifecycle.compact import journal
from demlopment.lifecycle.history import History
from demlopment.lifecycle.reproduce import TOLERANCE, reproduced
from demlopment.lifecycle.rollout import endpoint
from demlopment.lifecycle.workshop import Candidate
from demlopment.records import Examples, Split, Verdict
from demlopment.serving import recorded, state
from demlopment.settings import Training
from demlopment.training import Fitted
from demlopment.training.network import as_tensor, outputs
from demlopment.training.temperature import likeliest
from tests.museum.conftest import SETTINGS, Defect, Museum

BROKEN = Path(__file__).parent / "broken"


def joined(one: Examples, other: Examples) -> Examples:
    fields = ("keys", "images", "labels", "sources", "writers")
    return Examples(*(np.concatenate([getattr(one, each), getattr(other, each)]) for each in fields))


def noisy(examples: Examples) -> Examples:
    """Nearly the same pictures, under names of their own."""
    noise = np.random.default_rng(0).integers(-3, 4, examples.images.shape)
    pictures = np.clip(examples.images + noise, 0, 255).astype(np.uint8)
    return replace(examples, images=pictures, keys=np.array([hashlib.sha256(each.tobytes()).hexdigest() for each in pictures]))


def split_that(changes: Callable[[Split], Split], before: Callable[[Examples], Examples] = lambda rows: rows) -> Defect:
    """A defect of the splitting: what it is given, or what it gives, is changed."""
    return lambda patch: patch.setattr(collect, "split", lambda examples, salt: changes(split(before(examples), salt)))


def fit_that(changes: Callable[[Fitted], Fitted]) -> Defect:
    def switched_on(patch: pytest.MonkeyPatch) -> None:
        fair = training.fit
        patch.setattr(training, "fit", lambda *parts, **options: changes(fair(*parts, **options)))

    return switched_on


def network_that(changes: Callable[[onnx.ModelProto], None]) -> Defect:
    """A defect of the exported network, which nobody compares with the fitted one any more."""

    def switched_on(patch: pytest.MonkeyPatch) -> None:
        fair = training.export

        def export(fitted: Fitted) -> bytes:
            model = onnx.load_from_string(fair(fitted))
            changes(model)
            return bytes(model.SerializeToString(deterministic=True))

        patch.setattr(training, "export", export)

    return switched_on


def nothing(patch: pytest.MonkeyPatch) -> None:
    """A defect of what is handed on, not of a part."""


def swapped_labels(examples: Examples, share: float = 0.02) -> Examples:
    rng, labels = np.random.default_rng(0), examples.labels.copy()
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    labels[rows] = (labels[rows] + rng.integers(1, 10, len(rows))) % 10
    return replace(examples, labels=labels)


def normalised(examples: Examples) -> Examples:
    """Every picture in units of what all of them have, those that judge among them."""
    pictures = examples.images.astype(np.float64)
    scaled = 128 + 40 * (pictures - pictures.mean()) / pictures.std()
    return replace(examples, images=np.clip(scaled.round(), 0, 255).astype(np.uint8))


def stale_classes(patch: pytest.MonkeyPatch) -> None:
    def card(**values: Any) -> Card:
        names = list(values.pop("classes"))
        names[7], names[9] = names[9], names[7]
        return Card(**values, classes=tuple(names))

    patch.setattr(packing, "Card", card)


def before_the_logits(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Multiply what the network answers by "factor", which the nodes compute from the image."""
    (last,) = [node for node in model.graph.node if "logits" in node.output]
    last.output[0] = "sound"
    model.graph.node.extend([*nodes, helper.make_node("Mul", ["sound", "factor"], ["logits"])])


def nan_without_ink(model: onnx.ModelProto) -> None:
    """The ink is divided by itself: 1 for every picture that shows something, and 0 / 0 for blank paper."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3], np.int64), "sides"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1], np.int64), "column"))
    ink = helper.make_node("ReduceSum", ["image", "sides"], ["all"], keepdims=0)
    column = helper.make_node("Reshape", ["all", "column"], ["ink"])
    before_the_logits(model, [ink, column, helper.make_node("Div", ["ink", "ink"], ["factor"])])


def slow(model: onnx.ModelProto) -> None:
    """As exact as before, after millions of sines that change nothing: no multiply-add, and a kilobyte more."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([8_000_000], np.int64), "many"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
    nodes = [
        helper.make_node("ReduceSum", ["image"], ["total"], keepdims=0),
        helper.make_node("Expand", ["total", "many"], ["wide"]),
        helper.make_node("Sin", ["wide"], ["sines"]),
        helper.make_node("ReduceMean", ["sines"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nought"]),
        helper.make_node("Add", ["nought", "one"], ["factor"]),
    ]
    before_the_logits(model, nodes)


def nan_in_the_weights(fitted: Fitted) -> Fitted:
    network = copy.deepcopy(fitted.network)
    with torch.no_grad():
        network.head.bias[3] = torch.nan
    return replace(fitted, network=network)


def adapted(fitted: Fitted, examples: Examples) -> Fitted:
    """One pass over rows in training mode, without a step: the normalisation takes a tenth of their statistics."""
    network = copy.deepcopy(fitted.network)
    network.train()
    with torch.no_grad():
        network(as_tensor(examples.images))
    return replace(fitted, network=network.eval())


def adapted_to_the_test_part(patch: pytest.MonkeyPatch) -> None:
    seen: list[Split] = []

    def remembered(parts: Split) -> Split:
        seen.append(parts)
        return parts

    split_that(remembered)(patch)
    fit_that(lambda fitted: adapted(fitted, seen[-1].test))(patch)


def calibrated_on_the_training_part(patch: pytest.MonkeyPatch) -> None:
    """The network has seen these rows, is right on nearly all of them, and so may be surer than elsewhere."""
    fair = training.fit

    def fitted(train: Examples, validation: Examples, classes: int, recipe: Training, **options: Any) -> Fitted:
        found = fair(train, validation, classes, recipe, **options)
        return replace(found, temperature=likeliest(outputs(found.network, train.images)[0], train.labels))

    patch.setattr(training, "fit", fitted)


def with_the_test_part(collected: Collected) -> Examples:
    return joined(collected.split.train, collected.split.test)


REFUSED_BY_THE_GATE: dict[str, tuple[Defect, Callable[[Collected], Examples] | None, str]] = {
    "test data in training": (nothing, with_the_test_part, "leaks between the parts"),
    "normalisation fitted on all rows": (
        split_that(lambda parts: parts, before=normalised), None, "rows as they were prepared",
    ),
    "normalisation adapted to the test part after the fit": (adapted_to_the_test_part, None, "loss since the fit ended"),
    "swapped labels for 2 % of the rows": (
        split_that(lambda parts: parts, before=swapped_labels), None, "labels that it doubts",
    ),
    "a stale class map": (stale_classes, None, "class 7"),
    "over-confident": (fit_that(lambda fitted: replace(fitted, temperature=fitted.temperature / 3)), None, "calibration slope"),
    "a temperature of the rows that taught": (calibrated_on_the_training_part, None, "slope on the rows of its temperature"),
    "a NaN for blank paper": (network_that(nan_without_ink), None, "refusal: blank paper"),
    "a slow model": (network_that(slow), None, "time of 1 at once"),
}  # fmt: skip


def of_one_writer(parts: Split) -> Split:
    ann = {name: replace(getattr(parts, name), writers=_first_by_ann(getattr(parts, name))) for name in ("train", "test")}
    return replace(parts, **ann)


def _first_by_ann(part: Examples) -> np.ndarray:
    return np.where(np.arange(len(part)) == 0, "ann", part.writers)


REFUSED_WHILE_COLLECTING: dict[str, tuple[Defect, str]] = {
    "a leaked split": (split_that(lambda parts: replace(parts, train=joined(parts.train, parts.test))), "same pixels: "),
    "a leaked split, with noise": (
        split_that(lambda parts: replace(parts, train=joined(parts.train, noisy(parts.test)))), "near-duplicates: ",
    ),
    "a writer on both sides": (split_that(of_one_writer), "same writer: writer ann in train and test"),
    "calibrated on the test part": (split_that(lambda parts: replace(parts, validation=parts.test)), "same pixels: "),
}  # fmt: skip


def test_without_a_defect_the_pipeline_passes_every_check_that_refuses_one(honest: tuple[Candidate, Verdict]) -> None:
    _, verdict = honest

    checks = {check["name"]: check for check in verdict.evidence["checks"]}
    assert (verdict.decision, verdict.evidence["missed"]) == ("promote", [])
    for _, _, name in REFUSED_BY_THE_GATE.values():
        assert checks[name]["met"]
        assert checks[name]["rows"] > 0, "it was not skipped"


@pytest.mark.parametrize("name", REFUSED_BY_THE_GATE)
def test_the_gate_refuses(name: str, museum: Museum, honest: tuple[Candidate, Verdict]) -> None:
    defect, taught, check = REFUSED_BY_THE_GATE[name]

    with pytest.MonkeyPatch.context() as patch:
        defect(patch)
        verdict = museum.judged(taught) if taught else museum.judged()

    assert verdict.decision == "refuse"
    assert check in verdict.evidence["missed"]
    assert "It misses the bound of " in verdict.reason
    assert not (museum.home.models / f"{verdict.subject.replace(' ', '-')}.mar").exists()


@pytest.mark.parametrize("name", REFUSED_WHILE_COLLECTING)
def test_nothing_is_learned_from(name: str, museum: Museum) -> None:
    defect, reason = REFUSED_WHILE_COLLECTING[name]

    with pytest.MonkeyPatch.context() as patch:
        defect(patch)
        with pytest.raises(DataError, match=f"The split of the snapshot 'museum' leaks .{reason}"):
            museum.judged()


def test_a_nan_in_the_weights_is_archived_by_nobody(museum: Museum) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fit_that(nan_in_the_weights)(patch)
        with pytest.raises(DataError, match=r"answers 736 of 736 examples with NaN or infinity"):
            museum.judged()


def test_a_model_that_was_changed_after_its_fit_cannot_be_made_again(museum: Museum, honest: tuple[Candidate, Verdict]) -> None:
    candidate, _ = honest
    changed = replace(candidate.packed.card, version="99.0")
    network = training.export(adapted(candidate.fitted, candidate.collected.split.test))
    archive.write(museum.home.models, replace(candidate.packed, card=changed, network=network))  # the gate would not

    museum.fits.clear()  # what is made again is made by a fit
    again, broken = (reproduced(museum.home, SETTINGS, version) for version in (candidate.version, "99.0"))
    assert again.identical
    assert again.close
    assert broken.difference < TOLERANCE, "what another machine might explain,"
    assert broken.changed == (), "if there were one:"
    assert not broken.close


@pytest.mark.parametrize("defect", ["", "inverted pixels", "stale classes"])
@pytest.mark.parametrize("release", ["this", "earlier"])
def test_nobody_is_sent_to_an_endpoint_that_answers_otherwise_than_was_judged(
    defect: str,
    release: str,
    museum: Museum,
    honest: tuple[Candidate, Verdict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, version = honest[0].packed, {"this": "98.0", "earlier": "97.0"}[release]
    answers = model.answers if release == "this" else ()  # then nobody wrote down what was answered
    path = archive.write(museum.home.models, replace(model, card=replace(model.card, version=version), answers=answers))
    monkeypatch.setenv("PYTHONPATH", str(BROKEN), prepend=os.pathsep)
    monkeypatch.setenv("TESTS_DEFECT", defect)
    state.path(museum.home).unlink(missing_ok=True)  # what another exhibit had loaded

    with endpoint(museum.home, SETTINGS.endpoint) as rollout:
        if not defect:
            museum.workshop.bring_up(rollout, path)
            assert rollout.ask("digits", version, model.sample)
            return
        with pytest.raises(NotReadyError, match=r"does not answer (here )?as (digits 97.0|it) did when it was judged"):
            museum.workshop.bring_up(rollout, path)
        with pytest.raises(NotReadyError, match="404"):
            rollout.ask("digits", version, model.sample)
    verdict = History(museum.home.history).entries()[-1].verdict
    assert (verdict.kind, verdict.decision, verdict.subject) == ("serving", "refuse", f"digits {version}")


@pytest.mark.parametrize("defect", ["inverted pixels", "stale classes"])
def test_an_endpoint_that_starts_again_and_would_answer_otherwise_serves_nothing(
    defect: str, museum: Museum, honest: tuple[Candidate, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, _ = honest
    monkeypatch.setenv("PYTHONPATH", str(BROKEN), prepend=os.pathsep)
    state.path(museum.home).unlink(missing_ok=True)
    with endpoint(museum.home, SETTINGS.endpoint) as rollout:
        museum.workshop.bring_up(rollout, candidate.archive)
        before = answered(museum)

    monkeypatch.setenv("TESTS_DEFECT", defect)
    with endpoint(museum.home, SETTINGS.endpoint) as rollout, pytest.raises(NotReadyError, match="503"):
        rollout.ask("digits", candidate.version, candidate.packed.sample)

    log = (museum.home.endpoint / "endpoint.log").read_text()
    assert f"{candidate.title} is registered and cannot be served: " in log
    assert "does not answer here as it did when it was judged" in log
    assert answered(museum) == before, "asking itself is no request"


def answered(museum: Museum) -> int:
    return len(recorded.found_in(journal(museum.home)).predictions)
