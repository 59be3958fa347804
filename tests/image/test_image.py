"""What the Dockerfile makes, built and run without an engine. Runs where it is asked for: `make test-image`."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demlopment import __version__
from tests.image import images
from tests.image.images import HOME, Image, Workshop
from tests.serving.endpoint import digit, packed

SORRY = images.missing() if images.VARIABLE in os.environ else "It takes ten minutes: run `make test-image`."
SERVE_BYTES = 350_000_000
TARGETS = ("serve", "train", "demlopment", "development", "orchestrate")
USER = 10001
PATIENCE_SECONDS = 120
DEMO_SECONDS = 3000

pytestmark = [pytest.mark.skipif(bool(SORRY), reason=SORRY), pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop.open(tmp_path_factory.mktemp("images")) as opened:
        yield opened


@pytest.fixture(params=TARGETS)
def image(workshop: Workshop, request: pytest.FixtureRequest) -> Image:
    return workshop.image(request.param)


@pytest.fixture
def serve(workshop: Workshop) -> Image:
    return workshop.image("serve")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """An empty one, as an engine lays it out from the image."""
    return owned(tmp_path / "volume")


def owned(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
    return folder


def said(process: "subprocess.Popen[str]", seconds: float = PATIENCE_SECONDS) -> tuple[int, str]:
    try:
        text, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, text


def served(volume: Path, process: "subprocess.Popen[str]") -> dict[str, str]:
    """The addresses, once the endpoint has noted them in its volume."""
    note = volume / "endpoint" / "addresses.json"
    addresses: dict[str, str] = until(lambda: json.loads(note.read_bytes())["addresses"] if note.exists() else None, process)
    return addresses


def until(look: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := look()) is None:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def stop(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """As an engine does: the signal goes to process 1, and its words and status come back."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    return said(process)


def test_an_image_tells_an_engine_what_it_is_and_how_it_is_run(image: Image) -> None:
    config = image.config

    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["demlopment"]
    assert set(config["Volumes"]) == {HOME}
    assert config["StopSignal"] == "SIGTERM"
    assert f"DEMLOPMENT_HOME={HOME}" in config["Env"]
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items() if "opencontainers" in name}
    assert labels["version"] == __version__
    assert labels["revision"] == "tested"
    assert labels["licenses"] == "MIT"
    assert {"title", "description"} <= set(labels)


def test_what_serves_has_a_health_check_and_the_default_runs_the_demo(workshop: Workshop) -> None:
    configs = {target: workshop.image(target).config for target in TARGETS}

    assert {target: config["Cmd"] for target, config in configs.items()} == {
        "serve": ["serve"],
        "train": ["train"],
        "demlopment": ["demo"],
        "development": ["--help"],
        "orchestrate": ["schedule", "--host", "0.0.0.0"],
    }
    assert all(configs[target]["Healthcheck"]["Test"] == ["CMD", "healthy"] for target in ("serve", "demlopment"))
    assert "Healthcheck" not in configs["train"]


def test_nothing_is_in_an_image_but_its_base_the_environment_and_a_user(workshop: Workshop, image: Image) -> None:
    ours = image.files() - images.files(workshop.base())

    strangers = {path for path in ours if not path.startswith("opt/demlopment/")}

    # buildah leaves a hosts file, which every engine lays its own over.
    assert strangers - {"etc/hosts"} == {"usr/local/bin/healthy"}, "no compiler, no cache, no list of packages"
    names = {Path(path).name for path in image.files()}
    assert not {"gcc", "cc", "make", "pip", "pip3", "uv"} & names
    assert not [path for path in ours if "site-packages/" in path and "/tests/" in path]


def test_every_package_is_of_the_version_that_the_lock_names(image: Image) -> None:
    locks = [images.ROOT / f"{name}.lock" for name in ("requirements", "development", "orchestrate")]
    locked = {line for lock in locks for line in lock.read_text().split()}
    folders = image.root.glob("opt/demlopment/lib/python3*/site-packages/*.dist-info")
    installed = {re.sub("[-_.]+", "-", name).lower() + "==" + version for name, version in map(_named, folders)}

    assert len(installed) > 20
    assert installed - locked == {f"demlopment=={__version__}"}


def _named(folder: Path) -> tuple[str, str]:
    name, _, version = folder.name.removesuffix(".dist-info").partition("-")
    return name, version.partition("+")[0]


def test_the_endpoints_image_is_small_and_cannot_train(workshop: Workshop, serve: Image) -> None:
    ours = serve.files() - images.files(workshop.base())

    added = images.bytes_below(serve.root, ours)

    print(f"serve adds {added / 1e6:.0f} MB to its base")
    assert added < SERVE_BYTES
    packages = {path.name for path in serve.root.glob("opt/demlopment/lib/python3*/site-packages/*")}
    assert "onnxruntime" in packages
    assert not {"torch", "polars", "deltalake", "mlflow", "scipy"} & packages


def test_a_container_is_nobody_in_particular_and_writes_nowhere_but_into_its_volume(serve: Image, volume: Path) -> None:
    script = "id -u; touch /opt/demlopment/x /etc/x /x; touch /tmp/x ~/x; grep -E 'CapEff|NoNewPrivs' /proc/self/status"

    _, text = said(serve.execute(volume, ["sh", "-c", script], HOME=HOME))

    lines = text.splitlines()
    assert lines[0] == str(USER)
    assert sum("Read-only file system" in line for line in lines) == 3
    assert (volume / "x").exists()
    assert lines[-2:] == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"]


def test_the_endpoint_serves_and_answers_whoever_has_a_token(serve: Image, volume: Path) -> None:
    packed(volume / "models", "1.0")
    owned(volume)
    free = {f"DEMLOPMENT_ENDPOINT__{name}_PORT": "0" for name in ("INFERENCE", "MANAGEMENT", "METRICS")}
    process = serve.start(volume, network="host", DEMLOPMENT_ENDPOINT__LOAD_MODELS="all", **free)
    try:
        addresses = served(volume, process)
        with httpx2.Client(base_url=addresses["inference"], trust_env=False, timeout=20) as http:
            alive = http.get("/ping")
            refused = http.post("/predictions/digits", content=digit(7))
            key = json.loads((volume / "endpoint" / "key_file.json").read_bytes())["inference"]["key"]
            answer = http.post("/predictions/digits", content=digit(7), headers={"authorization": f"Bearer {key}"})
        checked = said(serve.execute(volume, serve.config["Healthcheck"]["Test"][1:], network="host"))
    finally:
        ended = stop(process)
    after = said(serve.execute(volume, serve.config["Healthcheck"]["Test"][1:], network="host"))

    assert alive.status_code == 200
    assert refused.status_code == 400, "others can reach the ports of a container, so it asks for a token"
    assert answer.status_code == 200
    assert answer.text in "0123456789"
    assert checked == (0, "")
    assert ended[0] == 0, ended[1]
    assert after[0] == 1
    assert "No endpoint has noted its addresses" in after[1]


def test_the_default_image_turns_the_loop_without_a_network_and_serves_what_it_learned(
    workshop: Workshop, volume: Path
) -> None:
    whole = workshop.image("demlopment")

    status, story = said(whole.start(volume), DEMO_SECONDS)
    process = whole.start(volume, "serve", network="host", DEMLOPMENT_ENDPOINT__INFERENCE_PORT="0",
                          DEMLOPMENT_ENDPOINT__MANAGEMENT_PORT="0", DEMLOPMENT_ENDPOINT__METRICS_PORT="0",
                          DEMLOPMENT_ENDPOINT__TOKENS="inference:opens-it")  # fmt: skip
    try:
        addresses = served(volume, process)
        sample = volume / "endpoint" / "sample.png"
        picture = until(lambda: sample.read_bytes() if sample.exists() else None, process)
        with httpx2.Client(base_url=addresses["inference"], trust_env=False, timeout=20) as http:
            answer = http.post("/predictions/digits", content=picture, headers={"authorization": "Bearer opens-it"})
    finally:
        ended = stop(process)

    assert status == 0, story
    assert "is the champion. The report, which opens in any browser:" in story
    assert f"{HOME}/report/" in story
    assert answer.status_code == 200
    assert answer.text in "0123456789"
    assert ended[0] == 0, ended[1]


@pytest.mark.parametrize("user", ["", "12345:12345"])
def test_a_volume_of_somebody_else_is_named_in_two_sentences(serve: Image, tmp_path: Path, user: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir(mode=0o755)

    status, text = said(serve.start(foreign, user=user))

    assert status == 1
    assert text.startswith(f"Error: {HOME} cannot be written: Permission denied. ")
    assert len(text.splitlines()) == 1


def test_without_a_network_what_is_fetched_is_refused_in_two_sentences(workshop: Workshop, volume: Path) -> None:
    status, text = said(workshop.image("train").start(volume, "data", "ingest", "mnist"))

    assert status == 1
    assert text.startswith("Error: https://")
    assert "cannot be fetched" in text
    assert "Try again, or copy the files here" in text
    assert len(text.splitlines()) == 1
