"""A plan's shares follow the labels that come back, as `demlopment traffic bandit` moves them in a real endpoint."""

import json
from pathlib import Path

import pytest

from tests.serving.endpoint import CLASSES, Running, digit, expected, registered, running
from tests.test_cli import assert_two_sentences, run

PATH = "/models/digits/traffic"


def labelled(endpoint: Running, requests: int, right: str) -> None:
    """Requests of as many users, and labels that are always what the version `right` says."""
    for place in range(requests):
        picture = digit(place % 50)
        answer = endpoint.inference.post("/predictions/digits", content=picture, headers={"x-unit-id": f"user-{place}"})
        truth = CLASSES[expected(picture, right).argmax()]
        endpoint.inference.post("/feedback", json={"request_id": answer.headers["x-request-id"], "label": truth})


def test_the_version_that_is_right_gets_the_traffic_and_the_other_keeps_the_floor(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    with running(tmp_path) as endpoint:
        planless = run("traffic", "bandit", home=home.root)
        split = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}], "salt": "b"}
        endpoint.management.put(PATH, json=split)
        unlabelled = run("traffic", "bandit", home=home.root)
        begun = endpoint.management.get(PATH).json()
        labelled(endpoint, 60, "2.0")
        moved = run("traffic", "bandit", "--floor", "0.1", home=home.root)
        plan = endpoint.management.get(PATH).json()
        read = run("traffic", "read", home=home.root)
        greedy = run("traffic", "bandit", "--floor", "0.6", home=home.root)
        endpoint.management.put(PATH, json=split | {"treatments": [{"version": "2.0"}], "canary": {}})
        canary = run("traffic", "bandit", home=home.root)

    assert_two_sentences(planless, "no traffic plan")
    assert "Plan 2: 1.0 gets 50.0% (0 of 0 right), 2.0 gets 50.0% (0 of 0 right)." in unlabelled.stdout
    assert begun["bandit"] is True
    assert plan["treatments"] == [{"version": "2.0", "share": pytest.approx(0.9, abs=1e-6)}]
    assert (plan["number"], plan["salt"]) == (3, "b")
    assert "Plan 3: 1.0 gets 10.0%" in moved.stdout
    assert "Decision" not in read.stdout, "labels that were collected unevenly have no verdict"
    assert_two_sentences(greedy, "floor is 0.6")
    assert_two_sentences(canary, "has a canary")


def test_without_an_endpoint_it_says_so(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    (home.endpoint / "journal").mkdir(parents=True, exist_ok=True)

    assert_two_sentences(run("traffic", "bandit", home=home.root), "No endpoint runs")


def test_a_plan_is_a_bandits_or_a_canarys(tmp_path: Path) -> None:
    registered(tmp_path, "1.0", "2.0")
    with running(tmp_path) as endpoint:
        plan = {"control": "1.0", "treatments": [{"version": "2.0"}], "canary": {}, "bandit": True}
        refused = endpoint.management.put(PATH, json=plan)

    assert refused.status_code == 409
    assert "a canary's and a bandit's" in json.loads(refused.text)["message"]
