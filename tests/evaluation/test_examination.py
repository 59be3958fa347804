"""A fair model keeps every bound, and each broken one is refused by the check that is meant for it."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment import images, settings
from demlopment.archive import Answering, Archive, Card
from demlopment.errors import DataError
from demlopment.evaluation import examine
from demlopment.evaluation.examination import macro_f1
from demlopment.legibility import Limits
from demlopment.records import Check, Examples
from demlopment.training import Fitted, export

CLASSES = tuple("0123456789")
RULES = settings.Evaluation(most_milliseconds=10_000)  # no test hangs on the machine's speed
LEGIBLE = Limits(0.021, 0.45, 0.22)  # of the first 1,000 digits


def packed(fitted: Fitted, **card: object) -> Archive:
    made = Card("digits", "1.0", CLASSES, images.VERSION, fitted.temperature, {}, {}, Answering(legible=LEGIBLE))
    return Archive(replace(made, **card), export(fitted), {}, b"")  # type: ignore[arg-type]


def missed(checks: tuple[Check, ...]) -> set[str]:
    return {check.group for check in checks if not check.met}


def test_a_model_that_reads_well_keeps_every_bound(fitted: Fitted, unseen: Examples) -> None:
    checks = examine(packed(fitted), unseen, CLASSES, RULES, 0.9)

    assert missed(checks) == set()
    assert {check.group for check in checks} == {"held-out", "behaviour", "robustness", "calibration", "slices", "cost"}
    named = {check.name: check for check in checks}
    assert named["fields read without a human at 99.9%"].note.startswith("nothing is proved: it takes 2995 accepted rows")
    assert named["accuracy"].rows == len(unseen)
    assert len({(check.group, check.name) for check in checks}) == len(checks)


Defect = Callable[[Fitted, Examples], tuple[Archive, Examples]]
MOST = {"held-out", "slices", "calibration"}
DEFECTS: dict[str, tuple[Defect, set[str]]] = {
    "a stale list of classes": (
        lambda f, e: (packed(f, classes=CLASSES[::-1]), e),
        MOST | {"behaviour"},
    ),
    "inverted pixels": (lambda f, e: (packed(f), replace(e, images=255 - e.images)), MOST),
    "far too unsure of itself": (lambda f, e: (packed(f, temperature=30.0), e), {"calibration"}),
    "blind for one class": (lambda f, e: (packed(f), replace(e, images=_blind(e))), {"slices"}),
}


def _blind(examples: Examples) -> np.ndarray:
    ones = examples.images[examples.labels == 1]
    return np.where((examples.labels == 7)[:, None, None], ones[:1], examples.images)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_broken_model_is_seen_by_the_check_that_is_meant_for_it(name: str, fitted: Fitted, unseen: Examples) -> None:
    defect, seen_by = DEFECTS[name]

    assert missed(examine(*defect(fitted, unseen), CLASSES, RULES, 0.9)) >= seen_by


def test_a_model_that_is_too_sure_is_seen_by_its_slope_although_its_calibration_error_is_small(
    fitted: Fitted, unseen: Examples
) -> None:
    surer = packed(fitted, temperature=fitted.temperature / 6)

    named = {check.name: check for check in examine(surer, unseen, CLASSES, RULES, 0.9)}

    assert not named["calibration slope"].met
    assert named["expected calibration error"].met


def test_a_slope_that_too_few_rows_leave_open_is_not_met_and_says_how_many_would_tell(fitted: Fitted, unseen: Examples) -> None:
    surer, few = packed(fitted, temperature=fitted.temperature / 1.5), unseen.where(np.arange(100))

    (check,) = [each for each in examine(surer, few, CLASSES, RULES, 0.5) if each.name == "calibration slope"]

    assert not check.met
    assert re.search(r"too few rows to tell, and about \d{3} would be enough if it stays so", check.note)


def test_a_network_is_not_let_pass_for_being_sure_of_full_ink_or_noise_unless_its_card_refuses_that(
    fitted: Fitted, unseen: Examples
) -> None:
    everything = packed(fitted, answer=Answering())

    unmet = {check.name for check in examine(everything, unseen, CLASSES, RULES, 0.9) if not check.met}

    # Which of the two a network is sure of depends on the processor that fitted it.
    assert unmet
    assert unmet <= {"refusal: full ink", "refusal: noise"}


def test_a_network_that_costs_too_much_is_seen(fitted: Fitted, unseen: Examples) -> None:
    rules = settings.Evaluation(most_kilobytes=1, most_multiply_adds=0.1, most_milliseconds=1e-6)

    found = {check.name for check in examine(packed(fitted), unseen, CLASSES, rules, 0.9) if not check.met}

    assert found == {"time of 1 at once", "time of 64 at once", "network", "multiply-adds"}


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 50), classes=st.integers(1, 6))
def test_macro_f1_is_the_mean_of_precision_and_recall_over_classes(seed: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, classes, (2, rows))
    each = []
    for place in set(labels.tolist()):
        hits = ((labels == place) & (predicted == place)).sum()
        precision, recall = hits / max(1, (predicted == place).sum()), hits / (labels == place).sum()
        each.append(2 * precision * recall / (precision + recall) if hits else 0.0)

    assert macro_f1(predicted, labels) == pytest.approx(np.mean(each))


def test_without_rows_nothing_is_tested(fitted: Fitted, unseen: Examples) -> None:
    with pytest.raises(DataError, match="no examples to evaluate"):
        examine(packed(fitted), unseen.where(np.arange(0)), CLASSES, RULES, 0.9)
