"""`demlopment serve` with TorchServe's options and its config.properties, as whoever moves from there calls it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from demlopment import __version__
from demlopment.commands import torchserve
from demlopment.errors import SettingsError
from demlopment.home import Home
from demlopment.serving import addresses, ending
from tests.serving.endpoint import digit, packed
from tests.test_cli import assert_two_sentences, run

PATIENCE_SECONDS = 60
PAGE = Path(__file__).parents[1] / "docs" / "torchserve.md"


def test_torchserves_way_to_start_and_stop_works(tmp_path: Path) -> None:
    home, store = Home(tmp_path / "home"), tmp_path / "store"
    packed(store, "1.0")
    packed(store, "2.0")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        taken = busy.getsockname()[1]
        config = tmp_path / "ts.properties"
        config.write_text(
            f"inference_address=http://127.0.0.1:0\nmanagement_address=http://127.0.0.1:0\n"
            f"metrics_address=http://127.0.0.1:{taken}\nenable_model_api=false\njob_queue_size=7\nvmargs=-Xmx1g\n"
        )
        words = ["serve", "--start", "--ncs", "--until-stdin-closes", "--enable-model-api", "--disable-token-auth"]
        words += ["--ts-config", str(config), "--model-store", str(store), "--log-config", "log4j2.xml"]
        words += ["--models", "digits-1.0.mar", "other=digits-2.0.mar"]
        # Our own variable wins over the file, whose port is taken.
        environment = os.environ | {"DEMLOPMENT_ENDPOINT__METRICS_PORT": "0", "DEMLOPMENT_HOME": str(home.root)}
        with subprocess.Popen(
            [sys.executable, "-m", "demlopment", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, process.communicate()[1]
                ports = json.loads(line)
                with httpx2.Client(trust_env=False, timeout=20) as client:
                    listed = client.get(f"{ports['management']}/models").json()["models"]
                    answers = [
                        client.post(f"{ports['inference']}/predictions/{name}", content=digit(1)).status_code
                        for name in ("digits", "other")
                    ]
                    registered = client.post(f"{ports['management']}/models?url=digits-2.0.mar").status_code
                stopped = run("serve", "--stop", home=home.root)
                status, (_, warnings) = process.wait(PATIENCE_SECONDS), process.communicate()
            finally:
                process.kill()

    assert [model["modelName"] for model in listed] == ["digits", "other"]
    assert answers == [200, 200]
    assert registered == 200, "the option wins over the file"
    assert (status, stopped.returncode) == (0, 0)
    assert stopped.stdout == f"The endpoint of {home.root} has stopped.\n"
    assert [re.match(r"Warning: (.*?)(?: is| the|:)|Reading", line)[0] for line in warnings.splitlines()] == [  # type: ignore[index]  # a line that is neither fails the test
        "Warning: --start:",
        "Warning: --log-config is",
        "Reading",
        f"Warning: {config}, line 6:",
    ]


def test_stopping_where_nothing_runs_says_so_and_is_no_failure(tmp_path: Path) -> None:
    stopped = run("serve", "--stop", home=tmp_path)

    assert (stopped.returncode, stopped.stdout) == (0, f"No endpoint is running on {tmp_path}.\n")


def test_a_note_of_a_dead_endpoint_never_ends_the_process_that_has_its_number_now(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.endpoint.mkdir()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        note = {"pid": innocent.pid, "birth": "1", "addresses": {"inference": "", "management": "", "metrics": ""}}
        (home.endpoint / addresses.NOTE).write_text(json.dumps(note))

        ended = ending.stop(home)
        alive = innocent.poll() is None
        innocent.send_signal(signal.SIGKILL)

    assert (ended, alive) == (False, True)


def test_version_is_shown_and_nothing_is_started(tmp_path: Path) -> None:
    shown = run("serve", "--version", home=tmp_path / "home")

    assert shown.stdout == f"demlopment {__version__}\n"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("digits.mar",), ("digits.mar", "--models")),
        (("--ts-config", "nowhere.properties"), ("nowhere.properties", "TS_CONFIG_FILE")),
        (("--model-store", "nowhere"), ("nowhere", "--model-store")),
    ],
)
def test_an_option_that_cannot_be_followed_is_named(tmp_path: Path, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    assert_two_sentences(run("serve", *words, home=tmp_path), *named)


def test_the_real_torchserve_without_java_or_its_package_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    words, empty = ("serve", "--engine", "torchserve"), tmp_path / "empty"
    empty.mkdir()
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    java.chmod(0o755)
    environment = {"JAVA_HOME": str(tmp_path / "java"), "DEMLOPMENT_ENDPOINT__TORCHSERVE_ENVIRONMENT": str(empty)}

    assert_two_sentences(run(*words, home=tmp_path / "home", PATH=str(empty)), "no java on the PATH", "openjdk-17-jre")
    assert_two_sentences(run(*words, home=tmp_path / "home", **environment), str(empty), "demlopment[torchserve]")
    unknown = run("serve", "--engine", "triton", home=tmp_path / "home")
    assert (unknown.returncode, "endpoint.engine" in unknown.stderr) == (1, True), unknown.stderr


def test_a_wrong_value_in_the_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "ts.properties"
    config.write_text("\njob_queue_size=many\n")

    refused = run("serve", home=tmp_path, TS_CONFIG_FILE=str(config))

    assert refused.returncode == 1
    assert f"{config}, line 2: job_queue_size cannot be 'many'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_model_store_that_does_not_exist_is_named_wherever_it_was_said(tmp_path: Path) -> None:
    config = tmp_path / "ts.properties"
    config.write_text("model_store=relative/none\n")

    in_file = run("serve", home=tmp_path, TS_CONFIG_FILE=str(config))
    in_variable = run("serve", home=tmp_path, DEMLOPMENT_ENDPOINT__MODEL_STORE="nowhere")

    assert in_file.returncode == in_variable.returncode == 1
    assert in_file.stderr.endswith("The model store relative/none is not a folder. Create it, or correct model_store.\n")
    assert "nowhere is not a folder. Create it, or correct endpoint.model_store." in in_variable.stderr


@pytest.mark.parametrize(
    ("models", "expected"),
    [([], {}), (["ALL"], {"load_models": "all"}), (["a.mar", "n=b.mar"], {"load_models": "a.mar,n=b.mar"})],
)
def test_only_options_that_were_given_become_settings(models: list[str], expected: dict[str, str], tmp_path: Path) -> None:
    quiet = torchserve.given(engine=None, model_store=None, models=models, disable_token_auth=False, enable_model_api=False)
    loud = torchserve.given(engine=None, model_store=tmp_path, models=[], disable_token_auth=True, enable_model_api=True)

    assert quiet == expected
    assert loud == {"model_store": tmp_path, "token_authorization": False, "enable_model_api": True}
    with pytest.raises(SettingsError, match="is not a folder"):
        torchserve.given(engine=None, model_store=tmp_path / "no", models=[], disable_token_auth=False, enable_model_api=False)


def test_the_page_about_torchserve_lists_every_option() -> None:
    shown = run("serve", "--help", home=Path("unused")).stdout
    options = set(re.findall(r"--[a-z-]+", shown)) - {"--help", "--until-stdin-closes", "--no-until-stdin-closes"}

    documented = set(re.findall(r"`(--[a-z-]+)`", PAGE.read_text().partition("## Options")[2].partition("\n## ")[0]))

    assert len(options) > 12
    assert options == documented
