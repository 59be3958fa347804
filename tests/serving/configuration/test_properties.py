"""TorchServe's config.properties: every key becomes a setting or a warning that names it, and nothing is guessed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import SettingsError
from demlopment.serving.configuration.keys import FIXED, KEYS, OWN, SAME, UNSUPPORTED
from demlopment.serving.configuration.properties import Configuration, configuration, decoded, located
from demlopment.serving.configuration.snapshot import Preset
from demlopment.settings import Endpoint

PAGE = Path(__file__).parents[3] / "docs" / "torchserve.md"
FIT = {  # a value for each key whose value is not free
    "default_workers_per_model": ("4", 4),
    "job_queue_size": ("7", 7),
    "default_response_timeout": ("30", 30),
    "default_startup_timeout": ("31", 31),
    "unregister_model_timeout": ("32", 32),
    "max_request_size": ("1000", 1000),
    "max_response_size": ("2000", 2000),
    "enable_model_api": ("TRUE", True),
    "enable_metrics_api": ("false", False),
    "token_expiration_min": ("30", 30.0),
    "service_envelope": ("kservev2", "kservev2"),
    "ts_open_inference_protocol": ("oip", True),
    "install_py_dep_per_model": ("true", True),
    "model_store": ("some/store", Path("some/store")),
    "load_models": ("ALL", "all"),
}
SNAPSHOT = {
    "name": "20261123190000000-startup.cfg",
    "modelCount": 2,
    "created": 1795000000000,
    "models": {
        "mnist": {
            "1.0": {
                "defaultVersion": False,
                "marName": "mnist.mar",
                "minWorkers": 1,
                "maxWorkers": 2,
                "batchSize": 4,
                "maxBatchDelay": 50,
                "responseTimeout": 30,
                "startupTimeout": 60,
                "runtimeType": "python",
            },
            "2.0": {"defaultVersion": True, "marName": "mnist_2.0.mar", "minWorkers": 3},
        }
    },
}


def read(text: str, **environment: str) -> Configuration:
    return configuration(text, "config.properties", environment)


@pytest.mark.parametrize("key", sorted(SAME))
def test_a_key_that_means_the_same_becomes_its_setting_without_a_warning(key: str) -> None:
    text, value = FIT.get(key, (".*", ".*"))

    found = read(f"{key}={text}")

    assert found.endpoint == {SAME[key]: value}
    assert found.warnings == ()


@pytest.mark.parametrize("key", sorted(UNSUPPORTED))
def test_a_key_that_has_no_place_here_is_named_in_a_warning(key: str) -> None:
    found = read(f"# note\n{key}=s3cret")

    assert found.endpoint == {}
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(f"config.properties, line 2: {key} is not followed: ")
    assert "s3cret" not in found.warnings[0]


@pytest.mark.parametrize("key", sorted(FIXED))
def test_a_key_with_one_possible_value_is_named_when_it_has_another(key: str) -> None:
    only, _ = FIXED[key]
    other = {"true": "false", "false": "true", "0": "2"}[only]

    assert read(f"{key}={only}") == Configuration({}, others={key: only})
    assert f"{key} is not followed" in read(f"{key}={other}").warnings[0]


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.just("x"), max_size=4))
def test_a_key_that_torchserve_does_not_have_is_never_dropped_silently(values: dict[str, str]) -> None:
    unknown = {key: value for key, value in values.items() if key not in KEYS}

    found = read("".join(f"{key}={value}\n" for key, value in unknown.items()))

    assert found.endpoint == {}
    assert [re.findall(r": (\w+) is not followed", warning)[0] for warning in found.warnings] == list(unknown)


def test_a_misspelt_key_is_answered_with_the_nearest_one_and_a_repeated_one_with_the_line_that_counts() -> None:
    found = read("job_queue_sizes=1\njob_queue_size=2\njob_queue_size=3")

    assert found.endpoint == {"job_queue_size": 3}
    assert found.warnings == (
        "config.properties, line 2: job_queue_size is not followed: line 3 gives another value.",
        "config.properties, line 1: job_queue_sizes is not followed: TorchServe has no such key, but job_queue_size.",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\njob_queue_size=many", "config.properties, line 2: job_queue_size cannot be 'many': "),
        ("job_queue_size=0", "line 1: job_queue_size cannot be '0': Input should be greater than or equal to 1"),
        ("enable_model_api=yes", "line 1: enable_model_api cannot be 'yes': it is neither true nor false"),
        ("service_envelope=xml", "line 1: service_envelope cannot be 'xml'"),
        ("allowed_urls=https://a/.*,(", r"line 1: allowed_urls cannot be .* \( is not a regular expression"),
        ("blacklist_env_vars=[", "line 1: blacklist_env_vars cannot be '\\['"),
        ("inference_address=127.0.0.1:8080", "inference_address cannot be .* it is not http://HOST:PORT"),
        ("inference_address=unix:/tmp/ts.sock", "inference_address cannot be .* it is not http://HOST:PORT"),
        ("inference_address=http://127.0.0.1:99999", "inference_address cannot be"),
        ("inference_address=https://127.0.0.1:8443", "https needs certificate_file and private_key_file"),
        ("model_snapshot={", "line 1: model_snapshot cannot be"),
        ('model_snapshot={"models": []}', "model_snapshot cannot be .* it is not a JSON object"),
        ('model_snapshot={"models": {"m": {"1.0": {}}}}', "m 1.0 has no marName"),
        ('models={"m": {"1.0": {"batchSize": "4"}}}', "m 1.0 has the batch_size '4'"),
        ("a=\\u00", "config.properties, line 1: .* without four hexadecimal digits"),
        ("model_store=$$NOWHERE$$/store", "line 1: the variable NOWHERE is not set"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        read(text)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [
                "inference_address=http://0.0.0.0:9080",
                "management_address=http://0.0.0.0",
                "metrics_address=http://0.0.0.0:9082",
            ],
            {"host": "0.0.0.0", "inference_port": 9080, "management_port": 8081, "metrics_port": 9082},
        ),
        (
            ["inference_address=http://0.0.0.0:8080"],
            {"host": "0.0.0.0", "inference_port": 8080, "management_host": "127.0.0.1", "metrics_host": "127.0.0.1"},
        ),
        (["inference_address=HTTP://127.0.0.1/"], {"host": "127.0.0.1", "inference_port": 80}),
        (
            [f"{port}_address=http://[::1]:{9080 + at}" for at, port in enumerate(("inference", "management", "metrics"))],
            {"host": "::1", "inference_port": 9080, "management_port": 9081, "metrics_port": 9082},
        ),
    ],
)
def test_addresses_become_hosts_and_three_ports(lines: list[str], expected: dict[str, Any]) -> None:
    found = read("\n".join(lines))

    assert found.endpoint == expected
    assert found.warnings == ()


def test_https_addresses_take_the_certificate_and_http_ones_leave_it() -> None:
    files = "certificate_file=a.pem\nprivate_key_file=b.pem\n"

    encrypted = read(files + "inference_address=https://127.0.0.1:8443")
    plain = read(files + "inference_address=http://127.0.0.1:8080")
    with pytest.raises(SettingsError, match="either all ports speak TLS here or none"):
        read(files + "inference_address=https://127.0.0.1\nmanagement_address=http://127.0.0.1")

    assert encrypted.endpoint == {
        "host": "127.0.0.1",
        "inference_port": 8443,
        "certificate_file": Path("a.pem"),
        "private_key_file": Path("b.pem"),
    }
    assert [warning for warning in encrypted.warnings if "speaks TLS too" not in warning] == []
    assert len(encrypted.warnings) == 2
    assert "certificate_file" not in plain.endpoint
    assert [re.findall(r": (\w+) is not", warning)[0] for warning in plain.warnings] == ["certificate_file", "private_key_file"]


@pytest.mark.parametrize(("text", "on"), [("true", False), ("false", True)])
def test_token_authorization_is_turned_off_only_in_so_many_words(text: str, *, on: bool) -> None:
    assert read(f"disable_token_authorization={text}").endpoint == {"token_authorization": on}


@pytest.mark.parametrize(("mode", "warned"), [("prometheus", False), ("log", True), ("legacy", True), ("other", True)])
def test_every_metrics_mode_but_prometheus_is_warned_of(mode: str, *, warned: bool) -> None:
    assert any("metrics_mode" in warning for warning in read(f"metrics_mode={mode}").warnings) == warned


def test_variables_override_the_file_only_when_it_says_so() -> None:
    variables = {
        "TS_JOB_QUEUE_SIZE": "9",
        "TS_TOKEN_EXPIRATION_TIME_MIN": "5",
        "TS_OPEN_INFERENCE_PROTOCOL": "false",
        "TS_ALLOWED_URLS": "https://a/.*",
        "TS_MODEL_SNAPSHOT": "{",  # not one of TorchServe's
    }

    closed = read("job_queue_size=1", **variables)
    opened = read("job_queue_size=1\nenable_envvars_config=true", **variables)
    urls = read("enable_envvars_config=true\nuse_env_allowed_urls=true", **variables)
    with pytest.raises(SettingsError, match="the variable TS_JOB_QUEUE_SIZE: job_queue_size cannot be 'x'"):
        read("enable_envvars_config=true", TS_JOB_QUEUE_SIZE="x")

    assert closed.endpoint == {"job_queue_size": 1}
    assert opened.endpoint == {"job_queue_size": 9, "token_minutes": 5.0, "open_inference_protocol": False}
    assert urls.endpoint["allowed_urls"] == "https://a/.*"


def test_a_value_may_name_variables_of_the_environment() -> None:
    assert read("model_store=$$BASE$$/$$NAME$$", BASE="/srv", NAME="store").endpoint == {"model_store": Path("/srv/store")}


def test_a_snapshot_becomes_registrations_and_wins_over_load_models() -> None:
    found = read(f"load_models=all\nmodel_snapshot={json.dumps(SNAPSHOT)}")

    assert found.snapshot == (
        Preset("mnist", "2.0", default=True, file="mnist_2.0.mar", min_workers=3),
        Preset(
            "mnist",
            "1.0",
            file="mnist.mar",
            min_workers=1,
            max_workers=2,
            batch_size=4,
            max_batch_delay=50,
            response_timeout=30,
            startup_timeout=60,
        ),
    )
    assert found.endpoint == {}
    assert "load_models is not followed" in found.warnings[0]


def test_what_models_says_of_a_version_is_kept_and_what_it_cannot_say_is_named() -> None:
    text = json.dumps({"mnist": {"1.0": {"batchSize": 8, "marName": "mnist.mar", "deviceType": "gpu"}}}, indent=2)

    found = read("models=" + text.replace("\n", "\\\n"))

    assert [(preset.model, preset.limits) for preset in found.presets] == [("mnist", {"batch_size": 8})]
    assert found.warnings == ("config.properties, line 1: models is not followed: deviceType of mnist 1.0 is not supported.",)


def test_the_file_is_the_variables_then_the_options_then_that_of_the_working_directory(tmp_path: Path) -> None:
    named, given_, usual = (tmp_path / name for name in ("named", "given", "config.properties"))

    nothing = located({}, None, tmp_path)
    for path in (named, given_, usual):
        path.touch()

    assert nothing is None
    assert located({"TS_CONFIG_FILE": str(named)}, given_, tmp_path) == named
    assert located({}, given_, tmp_path) == given_
    assert located({}, None, tmp_path) == usual
    with pytest.raises(SettingsError, match="is not a file"):
        located({}, tmp_path / "nowhere", tmp_path)


def test_a_file_is_utf_8_or_else_latin_1() -> None:
    assert decoded("ß".encode()) == decoded("ß".encode("latin-1")) == "ß"


def test_every_key_has_exactly_one_meaning_and_every_setting_exists() -> None:
    assert len(KEYS) == len(SAME) + len(OWN) + len(FIXED) + len(UNSUPPORTED) > 70
    assert set(SAME.values()) <= set(Endpoint.model_fields)


def test_the_page_about_torchserve_lists_every_key_with_what_becomes_of_it() -> None:
    rows = dict(re.findall(r"^\| `([A-Za-z_]+)` \| (same|differs|not supported) \|", PAGE.read_text(), re.MULTILINE))

    assert set(rows) == KEYS
    assert {key for key, word in rows.items() if word == "not supported"} == set(UNSUPPORTED)
    assert set(SAME) <= {key for key, word in rows.items() if word != "not supported"}
