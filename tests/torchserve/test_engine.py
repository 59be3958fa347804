"""The real TorchServe as our engine: it answers as ours does, leaves nothing behind, and what it is told is kept."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import pytest

from demlopment import images, row
from demlopment.home import Home
from demlopment.serving import state
from demlopment.serving.torchserve.places import Places
from tests import tables
from tests.serving.endpoint import digit, eventually, packed, registered, stop
from tests.test_cli import run
from tests.torchserve import real
from tests.torchserve.test_torchserve import SORRY

pytestmark = pytest.mark.skipif(bool(SORRY), reason=SORRY)

PICTURES = 1000
PORTS = ("inference", "management", "metrics")


@dataclass
class Serving:
    """`demlopment serve`, and a client for each of its ports."""

    process: "subprocess.Popen[str]"
    home: Home
    inference: httpx2.Client
    management: httpx2.Client
    metrics: httpx2.Client


@contextmanager
def serving(home: Home, engine: str, **settings: str) -> Iterator[Serving]:
    """The command on free ports, until the end of the block."""
    values = {f"{port}_port": "0" for port in PORTS} | {"enable_model_api": "true"} | settings
    variables = {f"DEMLOPMENT_ENDPOINT__{name.upper()}": value for name, value in values.items()}
    variables["DEMLOPMENT_ENDPOINT__TORCHSERVE_ENVIRONMENT"] = str(real.environment())
    process = subprocess.Popen(
        [sys.executable, "-m", "demlopment", "serve", "--engine", engine, "--until-stdin-closes"],
        env={**os.environ, **variables, "DEMLOPMENT_HOME": str(home.root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.wait()
        with ExitStack() as stack:
            urls = [json.loads(line)[port] for port in PORTS]
            clients = [stack.enter_context(httpx2.Client(base_url=url, timeout=60, trust_env=False)) for url in urls]
            yield Serving(process, home, *clients)
    finally:
        stop(process)


def drawn() -> list[bytes]:
    """A thousand different pictures, of all sizes and tones: scribbles, noise, light on dark and dark on light."""
    rng = np.random.default_rng(8)
    pictures = [digit(seed) for seed in range(PICTURES // 2)]
    for _ in range(PICTURES - len(pictures)):
        height, width = rng.integers(12, 80, 2)
        ink = rng.random((height, width)) < rng.uniform(0.05, 0.5)
        tones = np.where(ink, rng.integers(0, 100), rng.integers(150, 256)).astype(np.uint8)
        pictures.append(images.encode_png(tones))
    return pictures


def answers(client: httpx2.Client, pictures: list[bytes]) -> list[dict[str, object]]:
    said = [client.post("/predictions/digits", content=each, headers={"accept": "application/json"}) for each in pictures]
    assert {each.status_code for each in said} == {200}
    return [each.json() for each in said]


def test_a_thousand_pictures_get_the_same_labels_and_probabilities_of_both_engines(tmp_path: Path) -> None:
    home, pictures = registered(tmp_path, "1.0"), drawn()

    with serving(home, "own") as ours:
        own = answers(ours.inference, pictures)
    with serving(home, "torchserve") as theirs:
        real_ones = answers(theirs.inference, pictures)

    for our, their in zip(own, real_ones, strict=True):
        assert list(our) == list(their)
        assert {**our, "request_id": "", "probabilities": {}, "confidence": 0} == {
            **their,
            "request_id": "",
            "probabilities": {},
            "confidence": 0,
        }
        assert their["probabilities"] == pytest.approx(our["probabilities"], abs=1e-4)
    assert len({str(our["label"]) for our in own}) >= 5


def test_rows_of_a_table_are_answered_there_as_their_numbers_say(tmp_path: Path) -> None:
    home = Home(tmp_path)
    file = tables.packed(home.models).name
    values, _ = tables.rows(50, seed=5)
    sent = [row.encode_json(each, tables.COLUMNS) for each in values]
    state.save(state.path(home), state.load(state.path(home)).register("wine", "1.0", state.Version(file, file, 1, 1)))

    with serving(home, "torchserve") as theirs:
        said = [
            theirs.inference.post(
                "/predictions/wine", content=each, headers={"accept": "application/json", "content-type": kind}
            )
            for each, kind in zip(sent, ("application/json", "application/octet-stream") * 25, strict=True)
        ]

    assert {each.status_code for each in said} == {200}
    found = [list(each.json()["probabilities"].values()) for each in said]
    assert np.allclose(found, tables.probabilities(values), atol=1e-4)


def test_what_is_told_to_it_is_kept_and_our_own_engine_goes_on_with_it(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    packed(home.models, "2.0")

    with serving(home, "torchserve") as theirs:
        manage = theirs.management
        made = manage.post("/models?url=digits-2.0.mar&initial_workers=1&synchronous=true&batch_size=3")
        scaled = manage.put("/models/digits/1.0?min_worker=2&synchronous=true")
        crowned = manage.put("/models/digits/2.0/set-default")
        predicted = run("predict", str(written(tmp_path)), home=home.root)
        listed = manage.get("/models/digits/all").json()
        measured = theirs.metrics.get("/metrics").text
        stopped = run("serve", "--stop", home=home.root)
        code = theirs.process.wait(60)

    assert [each.status_code for each in (made, scaled, crowned)] == [200, 200, 200]
    assert {each["modelVersion"]: each["minWorkers"] for each in listed} == {"1.0": 2, "2.0": 1}
    assert predicted.stdout.rstrip().endswith("by digits 2.0")
    assert 'ts_inference_requests_total{model_name="digits"' in measured
    assert (stopped.returncode, code) == (0, 0)
    kept = state.load(state.path(home))
    assert {key: version.min_workers for key, version in kept.versions.items()} == {("digits", "1.0"): 2, ("digits", "2.0"): 1}
    assert (kept.models["digits"].default, kept.versions["digits", "2.0"].batch_size) == ("2.0", 3)
    with serving(home, "own") as ours:
        assert ours.inference.post("/predictions/digits", content=digit(1)).headers["x-model-version"] == "2.0"


def test_however_we_die_no_process_stays_and_the_next_run_knows_what_was_registered(tmp_path: Path) -> None:
    home = registered(tmp_path, "1.0")
    packed(home.models, "2.0")
    with serving(home, "torchserve") as theirs:
        assert theirs.management.post("/models?url=digits-2.0.mar&initial_workers=1&synchronous=true").status_code == 200
        assert len(processes(home)) == 3  # Java, and a worker for each version
        theirs.process.send_signal(signal.SIGKILL)
        theirs.process.wait()
        assert eventually(lambda: not processes(home), 60), processes(home)

    with serving(home, "torchserve") as again:
        listed = again.management.get("/models/digits/all").json()
        ports = [run("serve", "--engine", "torchserve", home=tmp_path / "other", **taken(again, port)) for port in PORTS]

    assert sorted(each["modelVersion"] for each in listed) == ["1.0", "2.0"]
    for refused in ports:
        assert refused.returncode == 1
        assert "is in use. Stop what uses it, or set DEMLOPMENT_ENDPOINT__" in refused.stderr


def test_java_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    registered(tmp_path / "home", "1.0")
    config = tmp_path / "config.properties"
    config.write_text("vmargs=-Xno-such-option\n")
    free = {f"DEMLOPMENT_ENDPOINT__{port.upper()}_PORT": "0" for port in PORTS}
    free["DEMLOPMENT_ENDPOINT__TORCHSERVE_ENVIRONMENT"] = str(real.environment())

    refused = run("serve", "--engine", "torchserve", "--ts-config", str(config), home=tmp_path / "home", **free)

    assert refused.returncode == 1
    assert "Error: TorchServe ended with status 1 and said 'Error: " in refused.stderr
    assert f"and what it printed {tmp_path / 'home' / 'endpoint' / 'torchserve' / 'output.log'}." in refused.stderr


def written(folder: Path) -> Path:
    path = folder / "digit.png"
    path.write_bytes(digit(1))
    return path


def processes(home: Home) -> list[str]:
    """Command lines of whatever runs for a home: Java is told its files, and a worker where its socket is."""
    found, scratch = [], Places.of(home).scratch
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if (str(home.root) in words or str(scratch) in words) and path.parent.name != str(os.getpid()):
            found.append(words)
    return found


def taken(busy: Serving, port: str) -> dict[str, str]:
    """Variables of an endpoint that wants one port of another and two free ones."""
    numbers = {each: str(getattr(busy, each).base_url.port) if each == port else "0" for each in PORTS}
    variables = {f"DEMLOPMENT_ENDPOINT__{each.upper()}_PORT": number for each, number in numbers.items()}
    return variables | {"DEMLOPMENT_ENDPOINT__TORCHSERVE_ENVIRONMENT": str(real.environment())}
