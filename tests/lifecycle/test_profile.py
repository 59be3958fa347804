"""A network of the large profile goes the whole way: fitted, exported, judged by its own limits, served, made again."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from demlopment import archive
from demlopment.archive import Archive
from demlopment.data import Lake, packaged_digits, split
from demlopment.errors import DataError
from demlopment.home import Home
from demlopment.images import as_input
from demlopment.lifecycle import warm
from demlopment.lifecycle.examine import examined
from demlopment.lifecycle.history import History
from demlopment.lifecycle.learn import learn
from demlopment.lifecycle.reproduce import reproduced
from demlopment.records import Check
from demlopment.settings import LIMITS, Settings, Training
from demlopment.training import fit
from demlopment.training.network import outputs
from tests.fakes import ListNarrator
from tests.lifecycle.test_learn import LAX, SHORT

LARGE = Training(epochs=2, profile="large")


def asked(recipe: Training) -> Settings:
    return SHORT.model_copy(update={"training": recipe})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("profile") / "var")
    home.open()
    Lake(home.lake).add(packaged_digits())
    learn(home, asked(LARGE), ListNarrator())
    return home


@pytest.fixture(scope="module")
def champion(home: Home) -> Archive:
    return archive.read(home.models / "digits-1.0.mar")


def bounds(checks: tuple[Check, ...]) -> dict[str, tuple[float, float | None]]:
    return {check.name: (check.value, check.bound) for check in checks if check.name in ("network", "multiply-adds")}


def test_it_is_promoted_and_served_by_its_own_limits_although_it_costs_more_than_the_default_may(
    home: Home, champion: Archive
) -> None:
    (entry,) = History(home.history).entries()

    found = bounds(examined(home, SHORT, "1.0"))

    assert entry.verdict.decision == "promote"  # an endpoint that answers as it did when it was judged is part of it
    assert champion.card.profile == "large"
    assert [bound for _, bound in found.values()] == list(LIMITS["large"])
    assert all(small < value <= bound for (value, bound), small in zip(found.values(), LIMITS["default"], strict=True) if bound)


def test_a_limit_that_is_set_is_kept_whatever_the_profile(home: Home) -> None:
    strict = SHORT.model_copy(update={"evaluation": LAX.model_copy(update={"most_kilobytes": 300, "most_multiply_adds": 2})})

    assert [bound for _, bound in bounds(examined(home, strict, "1.0")).values()] == [300, 2]


def test_its_archive_answers_in_onnx_runtime_as_the_fitted_network_does(home: Home, champion: Archive) -> None:
    lake = Lake(home.lake)
    snapshot = next(iter(lake.snapshots().values()))
    parts = split(lake.load(snapshot), snapshot.salt)
    session = onnxruntime.InferenceSession(champion.network, providers=["CPUExecutionProvider"])

    logits, embedding = session.run(["logits", "embedding"], {"image": as_input(parts.test.images)})

    again = fit(parts.train, parts.validation, 10, LARGE)
    for served, expected in zip((logits, embedding), outputs(again.network, parts.test.images), strict=True):
        np.testing.assert_allclose(served, expected, atol=1e-4)
    assert embedding.shape[1] == 128


def test_it_is_made_again_bit_for_bit_by_a_home_whose_own_profile_is_another(home: Home) -> None:
    assert reproduced(home, SHORT, "1.0").identical


@pytest.mark.parametrize(("recipe", "was"), [(Training(warm_start=True), "large"), (LARGE, "default")])
def test_a_champion_of_another_profile_is_nothing_to_begin_with(champion: Archive, recipe: Training, was: str) -> None:
    card = replace(champion.card, lineage=champion.card.lineage if was == "large" else {"recipe": {"epochs": 2}})
    wanted = recipe.model_copy(update={"warm_start": True})

    with pytest.raises(DataError) as refused:
        warm.beginning(wanted, replace(champion, card=card), card.classes)

    assert refused.value.problem == (
        f"The champion digits 1.0 is of the profile {was}, "
        f"and a fit of the profile {recipe.profile} cannot begin with its weights."
    )
    assert refused.value.remedy == "Set training.warm_start to false for this fit."
    assert warm.beginning(wanted.model_copy(update={"profile": was}), replace(champion, card=card), card.classes) is not None
