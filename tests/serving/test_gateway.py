"""Our endpoint in front of another server: what passes through, what is journalled, and what happens when it is gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demlopment.serving import read
from demlopment.serving.recorded import found_in
from tests.serving.endpoint import Running, digit, eventually, free_ports, registered, running
from tests.serving.far import Far, far

ANYWHERE = "http://127\\.0\\.0\\.1:[0-9]+/.*"
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def other() -> Iterator[Far]:
    with far() as started:
        yield started


@pytest.fixture(scope="module")
def gateway(other: Far, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A model whose version 0.9 is the other server's, and whose versions 1.0 and 2.0 are ours."""
    home = registered(tmp_path_factory.mktemp("gateway"), "1.0", "2.0")
    with running(home.root, free_ports(processes=1, allowed_upstreams=ANYWHERE)) as started:
        made = register(started, other, response_timeout=3)
        assert made.status_code == 200, made.text
        yield started


def register(gateway: Running, other: Far, version: str = "0.9", **more: Any) -> httpx2.Response:
    values = {"upstream": f"{other.url}/predictions/numbers", "model_name": "digits", "version": version, **more}
    return gateway.management.post("/models", params=values)


def journalled(gateway: Running, request_id: str) -> Any:
    found = read(gateway.home.endpoint / "journal")[0]
    return next(each for each in found if each.request_id == request_id)


def test_a_request_is_passed_on_as_it_is_and_the_answer_comes_back_as_it_is(gateway: Running, other: Far) -> None:
    headers = {
        "x-request-id": "r-1",
        "x-mine": "a",
        "content-type": "image/png",
        "connection": "x-mine-alone",
        "x-mine-alone": "b",
    }

    said = gateway.inference.put("/predictions/digits/0.9?b=1", content=digit(1), headers=headers)

    assert (said.status_code, said.text, said.headers["x-mine"]) == (200, "7", "yes")
    assert (said.headers["x-request-id"], said.headers["x-model-version"], said.headers["x-arm"]) == ("r-1", "0.9", "direct")
    assert said.headers.get_list("pragma") == ["no-cache"]
    assert (said.headers.get_list("x-arm"), "x-hop" in said.headers) == (["direct"], False)
    method, target, sent, body = other.asked[-1]
    assert (method, target, body) == ("PUT", "/predictions/numbers?b=1", digit(1))
    lower = {name.lower(): value for name, value in sent.items()}
    assert (lower["x-request-id"], lower["x-mine"], lower["content-type"]) == ("r-1", "a", "image/png")
    assert "127.0.0.1" in lower["host"]
    assert "x-mine-alone" not in lower
    told = journalled(gateway, "r-1")
    assert (told.model, told.version, told.arm, told.label) == ("digits", "0.9", "direct", "7")


def test_the_label_of_a_json_answer_is_journalled_and_its_type_kept(gateway: Running) -> None:
    said = gateway.inference.post("/predictions/digits/0.9", content=digit(1), headers={**JSON, "x-request-id": "r-2"})

    assert said.headers["content-type"] == "application/json; charset=utf-8"
    assert said.json()["label"] == "7"
    assert journalled(gateway, "r-2").label == "7"


def test_an_error_of_the_upstream_is_the_clients_and_one_connection_is_used_again(gateway: Running, other: Far) -> None:
    sad = gateway.inference.post("/predictions/digits/0.9", content=b"sad")
    before = other.connections
    many = [gateway.inference.post("/predictions/digits/0.9", content=digit(seed)).status_code for seed in range(20)]

    assert (sad.status_code, sad.json()) == (507, {"code": 507})
    assert set(many) == {200}
    assert other.connections - before <= 1


def test_a_stream_comes_in_its_parts(gateway: Running) -> None:
    with gateway.inference.stream("POST", "/predictions/digits/0.9", content=b"stream") as said:
        assert "content-length" not in said.headers
        assert b"".join(said.iter_raw()) == b"one two "


def test_an_upstream_that_is_late_or_breaks_off_is_an_error_that_says_so(gateway: Running, other: Far) -> None:
    late = gateway.inference.post("/predictions/digits/0.9", content=b"slow")
    broken = gateway.inference.post("/predictions/digits/0.9", content=b"broken")

    assert (late.status_code, late.json()["type"]) == (504, "RequestTimeoutException")
    assert late.json()["message"] == f"The upstream {other.url} has not answered within 3 seconds."
    assert (broken.status_code, broken.headers["retry-after"]) == (503, "1")
    assert broken.json()["message"] == f"The upstream {other.url} broke off its answer."


def test_the_management_port_shows_it_and_forgets_it(gateway: Running, other: Far) -> None:
    assert register(gateway, other, "0.8").status_code == 200
    (shown,) = gateway.management.get("/models/digits/0.8?customized=true").json()
    gone = gateway.management.delete("/models/digits/0.8")

    assert (shown["modelUrl"], len(shown["workers"])) == (f"{other.url}/predictions/numbers", 1)
    assert shown["customizedMetadata"] == {"upstream": f"{other.url}/predictions/numbers"}
    assert gone.status_code == 200
    assert gateway.inference.post("/predictions/digits/0.8", content=digit(1)).status_code == 404


def test_what_is_not_allowed_or_has_no_name_is_not_registered(gateway: Running, other: Far) -> None:
    foreign = gateway.management.post("/models", params={"upstream": "http://10.0.0.1/predictions/m", "version": "1"})
    nameless = gateway.management.post("/models", params={"upstream": f"{other.url}/predictions/numbers"})

    assert (foreign.status_code, foreign.json()["message"]) == (
        400,
        "The upstream http://10.0.0.1/predictions/m is not allowed. Have an expression of endpoint.allowed_upstreams match it.",
    )
    assert (nameless.status_code, nameless.json()["message"]) == (
        400,
        "Parameter version is required. Name the version that this upstream is here.",
    )


def test_a_split_between_the_upstream_and_ours_has_feedback_metrics_and_a_shadow(gateway: Running, other: Far) -> None:
    plan = {"control": "0.9", "treatments": [{"version": "1.0", "share": 0.5}], "shadows": ["2.0"]}
    put = gateway.management.put("/models/digits/traffic", json=plan)
    assert put.status_code == 200, put.text
    try:
        ids = [f"split-{number}" for number in range(40)]
        said = {
            each: gateway.inference.post(
                "/predictions/digits", content=digit(1), headers={"x-unit-id": each, "x-request-id": each}
            )
            for each in ids
        }
        words = {"x-unit-id": next(each for each in ids if said[each].headers["x-arm"] == "control")}
        gateway.inference.post("/predictions/digits", content=b"no picture", headers=words).raise_for_status()
        back = gateway.inference.post("/feedback", content=json.dumps({"request_id": ids[0], "label": "7"}))
        shadowed = eventually(lambda: len(shadows(gateway)) == len(ids))
        dropped = 'demlopment_shadows_dropped_total{model_name="digits",model_version="2.0",} 1.0'
        told = eventually(lambda: dropped in gateway.metrics.get("/metrics").text)
        counted = gateway.metrics.get("/metrics").text
    finally:
        gateway.management.delete("/models/digits/traffic")

    versions = {each.headers["x-model-version"] for each in said.values()}
    arms = {each.headers["x-arm"] for each in said.values()}
    assert (versions, arms) == ({"0.9", "1.0"}, {"control", "treatment"})
    assert {each.text for each in said.values() if each.headers["x-arm"] == "control"} == {"7"}
    assert back.status_code == 200
    assert shadowed, len(shadows(gateway))
    assert told, [each for each in counted.splitlines() if "shadows_" in each]
    assert any(
        line.startswith("demlopment_predictions_total{") and '"0.9"' in line and '"control"' in line
        for line in counted.splitlines()
    )
    refused = gateway.management.put(
        "/models/digits/traffic", json={**plan, "control": "1.0", "treatments": [], "shadows": ["0.9"]}
    )
    assert refused.status_code == 409
    assert "is another server's, and the plan has shadows" in refused.json()["message"]


def shadows(gateway: Running) -> list[Any]:
    found = found_in(gateway.home.endpoint / "journal").shadows
    return [each for each in found if each.request_id.startswith("split-")]


def test_readiness_hears_of_the_upstream_that_answers_by_default(gateway: Running, other: Far) -> None:
    assert gateway.inference.get("/ready").status_code == 200
    gateway.management.put("/models/digits/0.9/set-default")
    try:
        assert eventually(lambda: gateway.inference.get("/ready").status_code == 200, 10)
        other.well = False
        assert eventually(lambda: gateway.inference.get("/ready").status_code == 503, 10)
        said, health = gateway.inference.get("/ready"), gateway.inference.get("/v2/health/ready")
    finally:
        other.well = True
        gateway.management.put("/models/digits/1.0/set-default")

    assert said.json()["message"] == f"An upstream is not well: {other.url}/ping answers 500. Start it."
    assert (health.status_code, health.json()) == (503, {"ready": False})
    assert gateway.inference.get("/ping").status_code == 200


def test_an_upstream_that_is_down_is_503_and_a_treatment_of_it_is_answered_by_the_control(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    with far() as other:
        pass  # its port is free again
    with running(home.root, free_ports(processes=1, allowed_upstreams=ANYWHERE, strict=False)) as gateway:
        assert register(gateway, other).status_code == 200

        down = gateway.inference.post("/predictions/digits/0.9", content=digit(1))
        plan = {"control": "1.0", "treatments": [{"version": "0.9", "share": 1.0}]}
        assert gateway.management.put("/models/digits/traffic", json=plan).status_code == 200
        spared = gateway.inference.post("/predictions/digits", content=digit(1))
        ready = gateway.inference.get("/ready")
        with far(int(other.url.rpartition(":")[2])):
            again = gateway.inference.post("/predictions/digits", content=digit(1))

    assert (down.status_code, down.headers["retry-after"], down.json()["type"]) == (503, "1", "ServiceUnavailableException")
    assert down.json()["message"] == f"The upstream {other.url} cannot be reached."
    assert (spared.status_code, spared.headers["x-model-version"], spared.headers["x-arm"]) == (200, "1.0", "direct")
    assert ready.status_code == 200, "requests that the treatment should have answered are answered"
    assert (again.text, again.headers["x-arm"]) == ("7", "treatment")


def test_an_upstream_that_the_settings_no_longer_allow_is_told_and_not_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = registered(tmp_path, "1.0")
    with far() as other:
        with running(home.root, free_ports(processes=1, allowed_upstreams=ANYWHERE)) as gateway:
            assert register(gateway, other).status_code == 200
        with running(home.root, free_ports(processes=1)) as shut:
            said = shut.inference.post("/predictions/digits/0.9", content=digit(1))
            asked = len(other.asked)

    assert (said.status_code, asked) == (503, 0)
    assert f"digits 0.9 is registered and cannot be served: The upstream {other.url}/predictions/numbers is not allowed." in (
        capfd.readouterr().err
    )


def test_our_token_is_no_other_servers_business(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    file = tmp_path / "tokens"
    file.write_text("*:secret\n")
    file.chmod(0o600)
    settings = free_ports(processes=1, allowed_upstreams=ANYWHERE, tokens_file=file)
    with far() as other, running(home.root, settings) as gateway:
        bearer = {"authorization": "Bearer secret"}
        values = {"upstream": f"{other.url}/predictions/numbers", "model_name": "digits", "version": "0.9"}
        assert gateway.management.post("/models", params=values, headers=bearer).status_code == 200
        said = gateway.inference.post("/predictions/digits/0.9", content=digit(1), headers={**bearer, "x-mine": "a"})

    assert said.status_code == 200
    sent = {name.lower() for name in other.asked[-1][2]}
    assert "x-mine" in sent
    assert "authorization" not in sent
