"""`demlopment serve` as a person meets it: lines that work when pasted, and the commands that talk to it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from demlopment.home import Home
from demlopment.serving import addresses, state
from demlopment.serving.state import Version
from demlopment.settings import Engine
from tests.serving.endpoint import CLASSES, digit, expected, registered, running
from tests.serving.handlers.hosting import packed
from tests.test_cli import assert_two_sentences, run

PATIENCE_SECONDS = 30
ANY_PORT = {f"DEMLOPMENT_ENDPOINT__{port}_PORT": "0" for port in ("INFERENCE", "MANAGEMENT", "METRICS")}


@contextmanager
def serving(root: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`demlopment serve` on free ports, with the lines it printed until it was ready."""
    command = [sys.executable, "-m", "demlopment", "--home", str(root), "serve"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | ANY_PORT
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            if "Paste" in lines[0]:
                lines += [process.stdout.readline() for _ in range(3)]
            assert lines[0], process.communicate()[1]
            yield process, [line.strip() for line in lines]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing: apt-get install curl")
def test_the_three_curl_lines_work_when_pasted(tmp_path: Path) -> None:
    home = registered(tmp_path / "a home", "1.0")

    with serving(home.root) as (_, lines):
        pasted = [
            subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout
            for line in lines[1:]
        ]

    label, described, metrics = pasted
    assert re.fullmatch(r"\d", label)
    assert '"modelVersion": "1.0"' in described
    assert 'ts_inference_requests_total{model_name="digits"' in metrics


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing: apt-get install curl")
def test_where_a_token_is_needed_the_lines_have_a_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__TOKEN_AUTHORIZATION", "true")
    home = registered(tmp_path, "1.0")

    with serving(home.root) as (process, lines):
        assert process.stdout is not None
        told = process.stdout.readline()
        keys = json.loads((home.endpoint / "key_file.json").read_text())
        filled = [
            line.replace("INFERENCE_KEY", keys["inference"]["key"]).replace("MANAGEMENT_KEY", keys["management"]["key"])
            for line in lines[1:4]
        ]
        label, described, _ = [
            subprocess.run(line, shell=True, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout
            for line in filled
        ]

    assert re.fullmatch(r"\d", label)
    assert '"modelVersion": "1.0"' in described
    assert str(home.endpoint / "key_file.json") in told


def test_a_home_without_a_model_says_how_to_get_one(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, lines):
        assert "has no model: run `demlopment demo`" in lines[0]


def test_a_handler_is_shown_without_a_picture_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__ALLOW_HANDLERS", "true")
    home = registered(tmp_path)
    home.models.mkdir(parents=True)
    code = "def handle(data, context):\n    return data\n"
    packed(home.models / "echo.mar", {"handler.py": code}, {"modelName": "echo", "handler": "handler.py"})
    echo = Version("echo.mar", "echo.mar", 1, 1, kind="handler")
    state.save(state.path(home), state.State().register("echo", "1.0", echo))

    with serving(home.root) as (_, lines):
        assert lines[1].startswith("curl -T YOUR_INPUT http://127.0.0.1:")
        assert lines[1].endswith("/predictions/echo")


def test_a_broken_archive_does_not_stop_the_endpoint(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    (home.models / "digits-1.0.mar").write_bytes(b"broken")

    with serving(home.root) as (_, lines):
        assert "has no model" in lines[0]


def test_predict_and_traffic_talk_to_the_running_endpoint(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0")

    with serving(home.root):
        answer = run("predict", home.endpoint / "sample.png", home=home.root)
        before = run("traffic", "show", home=home.root)
        split = run("traffic", "split", "--control", "1.0", "--treatment", "2.0=0.25", home=home.root)
        after = run("traffic", "show", home=home.root)
        unknown = run("traffic", "split", "--control", "1.0", "--treatment", "9.0=0.5", home=home.root)
        shareless = run("traffic", "split", "--control", "1.0", "--treatment", "2.0", home=home.root)
        endless = run("traffic", "split", "--control", "1.0", "--treatment", "2.0=nan", home=home.root)
        canary = ("traffic", "canary", "--control", "1.0", "--treatment", "2.0", "--step", "0.1")
        begun = run(*canary, "--guardrail", "errors=0.5", "--guardrail", "classes=none", home=home.root)
        limitless = run(*canary, "--guardrail", "errors=few", home=home.root)
        paused = run("traffic", "pause", home=home.root)
        resumed = run("traffic", "resume", home=home.root)
        aborted = run("traffic", "abort", home=home.root)
        read = run("traffic", "read", home=home.root)
        again = run("traffic", "resume", home=home.root)
        ended = run("traffic", "end", home=home.root)
        text = home.root / "no picture.png"
        text.write_text("no picture")
        refused = run("predict", text, home=home.root)

    assert re.search(r"sample\.png  \d  \d+\.\d%  by digits 1\.0", answer.stdout)
    assert_two_sentences(before, "no traffic plan")
    assert "The plan's share is nan" in endless.stderr
    assert '"share": 0.25' in split.stdout
    assert split.stdout == after.stdout
    assert_two_sentences(unknown, "9.0")
    assert_two_sentences(shareless, "VERSION=SHARE")
    rails = json.loads(begun.stdout)["canary"]["guardrails"]
    assert (rails["errors"], rails["classes"], rails["slow"]) == (0.5, None, 0.1)
    assert_two_sentences(limitless, "NAME=LIMIT")
    assert ['"paused"' in paused.stdout, '"ramping"' in resumed.stdout, '"aborted"' in aborted.stdout] == [True] * 3
    assert "The canary 2.0 is aborted (somebody aborted it), with a share of 0." in read.stdout
    assert_two_sentences(again, "cannot be resumed that is aborted")
    assert ended.returncode == 0
    assert_two_sentences(refused, "cannot be decoded")


class AsTorchServe(BaseHTTPRequestHandler):
    """What TorchServe 0.12.0 says of a path that it does not have."""

    def do_GET(self) -> None:  # the library's name
        body = json.dumps({"code": 404, "type": "ResourceNotFoundException", "message": "Requested resource is not found."})
        self.send_response(404)
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.mark.parametrize("engine", ["own", "torchserve"])
def test_a_plan_that_the_real_torchserve_cannot_have_is_refused_with_the_reason(tmp_path: Path, engine: Engine) -> None:
    place = Home(tmp_path)
    place.endpoint.mkdir()

    with HTTPServer(("127.0.0.1", 0), AsTorchServe) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with addresses.announced(place, addresses.Addresses(url, url, url, engine=engine)):
            shown = run("traffic", "show", "digits", home=tmp_path)
        server.shutdown()

    assert_two_sentences(shown)
    assert ("has no traffic plans: serve with --engine own" in shown.stderr) == (engine == "torchserve")


def test_an_experiment_is_read_from_the_labels_that_came_back(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0", "2.0", "3.0")

    with running(home.root) as endpoint:
        without = run("traffic", "read", home=home.root)
        plan = {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}], "shadows": ["3.0"], "salt": "read"}
        endpoint.management.put("/models/digits/traffic", json=plan)
        early = run("traffic", "read", home=home.root)
        for place in range(40):
            asked = {"x-request-id": f"read-{place}", "x-unit-id": f"user-{place}"}
            endpoint.inference.post("/predictions/digits", content=digit(place), headers=asked)
            truth = CLASSES[expected(digit(place), "3.0").argmax()]  # the shadow is always right
            endpoint.inference.post("/feedback", json={"request_id": f"read-{place}", "label": truth})
    read = run("traffic", "read", home=home.root)

    assert_two_sentences(without, "no traffic plan")
    assert early.stdout.splitlines()[-1] == "Plan 1: 0 requests, 0 with a label."
    assert early.stdout.count("No conclusion yet") == 2
    lines = read.stdout.splitlines()
    assert re.search(r"of \d+ for version 2\.0 against .* of \d+ for version 1\.0", lines[0])
    assert "Decision: promote. It is verdict 4 of the history." in read.stdout, "two were recorded without labels"
    assert re.search(r"The shadow 3\.0 is better: alone right on \d+ of 40 labelled requests and alone wrong on 0", read.stdout)
    assert lines[-1] == "Plan 1: 40 requests, 40 with a label."


def test_ctrl_c_stops_it_with_status_zero(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_second_endpoint_on_one_home_or_one_port_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "one") as (_, lines):
        port = re.findall(r":(\d+)", lines[0])[0]

        assert_two_sentences(run("serve", home=tmp_path / "one", **ANY_PORT), "serve.lock")
        other = run("serve", home=tmp_path / "two", **{**ANY_PORT, "DEMLOPMENT_ENDPOINT__INFERENCE_PORT": port})

    assert_two_sentences(other, port, "DEMLOPMENT_ENDPOINT__INFERENCE_PORT")


def test_a_demo_on_a_home_that_is_being_served_is_refused_at_once(tmp_path: Path) -> None:
    with serving(tmp_path):
        refused = run("demo", home=tmp_path)

    assert_two_sentences(refused, "serve.lock")
    assert not (tmp_path / "lake").exists()
