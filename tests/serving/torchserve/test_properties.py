"""Our settings as TorchServe's file: what we read from one is what we write into one."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.serving.configuration.entries import entries
from demlopment.serving.configuration.properties import configuration
from demlopment.serving.state import State, Version
from demlopment.serving.torchserve import properties
from demlopment.settings import Endpoint

PORTS = {"inference": 9080, "management": 9081, "metrics": 9082, "grpc_inference": 9070, "grpc_management": 9071}
ONE = Version("a.mar", "a.mar", 2, 3, 4, 50, 60, 70)
TWO = Version("b.mar", "b.mar")


def written(settings: Endpoint, state: State | None = None, **others: str) -> dict[str, str]:
    values = properties.properties(settings, "/store", PORTS, state or State(), others)
    return {entry.key: entry.value for entry in entries(properties.text(values))}


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_value_comes_back_as_java_reads_it(values: dict[str, str]) -> None:
    assert {entry.key: entry.value for entry in entries(properties.text(values))} == values


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"job_queue_size": 7, "default_workers": 3, "response_timeout": 5, "max_request_bytes": 99, "enable_model_api": True},
        {"service_envelope": "kserve", "cors_allowed_origin": "*", "cors_allowed_methods": "GET, POST"},
        {"allowed_urls": r"https://a\.example/.*,http://b/.*", "hidden_variables": "SECRET_.*", "enable_metrics_api": False},
        {"token_authorization": True, "token_minutes": 5.0, "open_inference_protocol": False, "install_requirements": True},
        {"host": "::1", "management_host": "127.0.0.2"},
    ],
)
def test_what_is_written_is_read_as_the_same_settings(settings: dict[str, Any]) -> None:
    wanted = Endpoint(model_store=Path("/store"), inference_port=9080, management_port=9081, metrics_port=9082, **settings)
    text = properties.text(properties.properties(wanted, "/store", PORTS, State(), {}))

    found = configuration(text, "written", {})

    read = Endpoint(**found.endpoint)
    resolved = {"token_authorization": bool(wanted.token_authorization), "allowed_urls": wanted.allowed_urls or "(?!)"}
    resolved["management_host"] = wanted.management_host or None
    resolved["metrics_host"] = read.metrics_host
    assert read == wanted.model_copy(update={**resolved, "load_models": ""})
    assert found.warnings == found.unfollowed
    assert {each.split(": ")[1].split()[0] for each in found.unfollowed} == {"grpc_inference_port", "grpc_management_port"}


def test_what_is_registered_is_loaded_with_its_numbers_the_default_first() -> None:
    state = State().register("digits", "1.0", TWO).register("digits", "2.0", ONE).register("other", "1.0", TWO)

    said = written(Endpoint(), state.set_default("digits", "2.0"))

    assert said["load_models"].split(",")[0] in ("digits=a.mar", "other=b.mar")
    assert said["load_models"].index("digits=a.mar") < said["load_models"].index("digits=b.mar")
    told = json.loads(said["models"])
    assert told["digits"]["2.0"] == {
        "defaultVersion": True,
        "marName": "a.mar",
        "minWorkers": 2,
        "maxWorkers": 3,
        "batchSize": 4,
        "maxBatchDelay": 50,
        "responseTimeout": 60,
        "startupTimeout": 70,
    }
    assert [told["digits"]["1.0"]["defaultVersion"], told["other"]["1.0"]["minWorkers"]] == [False, 0]


def test_nothing_is_fetched_that_no_setting_allows_and_requests_need_keys_where_others_reach_the_ports() -> None:
    shut, opened = written(Endpoint(host="0.0.0.0")), written(Endpoint(allowed_urls="https://x/.*"))

    assert (shut["allowed_urls"], opened["allowed_urls"]) == ("(?!)", "https://x/.*")
    assert (shut["disable_token_authorization"], opened["disable_token_authorization"]) == ("false", "true")


def test_what_only_torchserve_understands_passes_unchanged() -> None:
    text = "vmargs=-Xmx1g -Xss1m\nnumber_of_gpu=0\ngrpc_inference_port=7070\nmetrics_mode=legacy\nversion=0.11\nmystery=1\n"
    text += 'models={"later": {"1.0": {"batchSize": 9}}}\n'
    file = configuration(text, "theirs", {})

    said = written(Endpoint(), State().register("digits", "1.0", TWO), **file.others)

    assert said.items() >= {"vmargs": "-Xmx1g -Xss1m", "number_of_gpu": "0", "grpc_inference_port": "7070"}.items()
    assert (said["metrics_mode"], said["mystery"]) == ("legacy", "1")
    assert "version" not in said
    assert sorted(json.loads(said["models"])) == ["digits", "later"]
    assert [each.partition(": ")[2].split()[0] for each in file.unfollowed] == [
        "vmargs",
        "grpc_inference_port",
        "version",
        "mystery",
        "metrics_mode",
    ]
