"""compose.yaml: that it says what the documents promise, and that its services find each other, started without an engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from demlopment.commands.monitor import objectives
from demlopment.monitoring import dashboards, rules
from demlopment.settings import Settings
from tests.compose import file, stage
from tests.compose.file import ROOT

ENTER = Path(__file__).parent / "enter"
DOMAINS = {"data", "development", "endpoint", "orchestration"}
SECRET = re.compile(r"KEY$|PASSWORD|TOKEN")
# Those that are up together. A group whose program is missing is skipped alone.
ALTOGETHER = (
    pytest.param(("s3",), id="s3"),
    pytest.param(("postgres",), id="postgres"),
    pytest.param(("s3", "postgres", "mlflow", "optuna", "jupyter"), id="development"),
    pytest.param(("endpoint", "prometheus"), id="endpoint"),
    pytest.param(("alertmanager",), id="alertmanager"),
    pytest.param(("grafana",), id="grafana"),
    pytest.param(("endpoint", "dagster"), id="dagster"),
)


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = file.loaded(stage.SECRETS)["services"]
    return found


@pytest.mark.parametrize(("more", "status"), [("", 0), ("services: {endpoint: {imago: demlopment}}", 1)])
def test_the_file_keeps_the_official_schema(tmp_path: Path, more: str, status: int) -> None:
    if more:
        (tmp_path / "compose.yaml").write_text(more)
    looked = tmp_path / "compose.yaml" if more else ROOT / "compose.yaml"

    said = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", looked],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.returncode, "imago" in said.stdout) == (status, bool(more)), said.stdout + said.stderr


def test_every_domain_has_services_and_every_service_a_domain(services: dict[str, Any]) -> None:
    profiles = {name: set(service["profiles"]) for name, service in services.items()}

    assert set().union(*profiles.values()) == DOMAINS | {"work"}
    assert all(profiles.values())


def test_jobs_run_when_they_are_asked_for_and_no_domain_starts_one(services: dict[str, Any]) -> None:
    jobs = {name for name, service in services.items() if service.get("restart") == "no"}

    assert jobs == {"work"}
    assert {name for name, service in services.items() if service["profiles"] == ["work"]} == jobs
    assert "work" not in re.findall(r"^PROFILES \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split(",")


def test_the_page_on_containers_has_every_service_in_its_domain(services: dict[str, Any]) -> None:
    table = (ROOT / "docs" / "containers.md").read_text().split("| domain (profile) |")[1].split("\n\n")[0]
    domain, named = "", dict[str, str]()
    for row in table.splitlines()[2:]:
        begun, service = (cell.strip() for cell in row.split("|")[1:3])
        domain = begun or domain
        named[service.split("`")[1]] = domain

    assert named == {name: service["profiles"][0] for name, service in services.items()}


def test_what_a_service_waits_for_comes_up_with_it(services: dict[str, Any]) -> None:
    waits = [(name, other) for name, service in services.items() for other in service.get("depends_on", {})]

    assert len(waits) > 5
    lacking = [pair for pair in waits if not set(services[pair[0]]["profiles"]) <= set(services[pair[1]]["profiles"])]
    assert not lacking


def test_every_service_is_checked_and_reached_from_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]

    assert len(ports) > 8
    assert not [port for port in ports if not port.startswith("127.0.0.1:")]
    assert len({port.split(":")[1] for port in ports}) == len(ports)
    assert {name for name, service in services.items() if service["healthcheck"].get("disable")} == {"work"}


def test_images_of_others_are_of_one_release_and_ours_are_targets_of_the_dockerfile(services: dict[str, Any]) -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    ours = {name for name, service in services.items() if "build" in service}

    assert {services[name]["build"]["target"] for name in ours} <= targets
    assert all(services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"] for name in ours)
    theirs = {service["image"] for name, service in services.items() if name not in ours}
    assert len(theirs) > 4
    assert all(re.search(r":v?\d+\.\d+[\w.-]*$", image) for image in theirs)


def test_no_secret_stands_in_the_file_and_each_is_asked_for_by_name(services: dict[str, Any], tmp_path: Path) -> None:
    named = [line for line in file.text().splitlines() if SECRET.search(line.partition(":")[0]) and ": " in line]
    drawn = tmp_path / "drawn"

    subprocess.run([ROOT / "deploy" / "compose" / "secrets", drawn], check=True, capture_output=True)

    assert len(named) > 6
    # The name of a key is no secret.
    assert not [line for line in named if "${" not in line and "AWS_ACCESS_KEY_ID: demlopment" not in line]
    assert not re.findall(r"\$\{\w+(?!:\?|\w)", file.text()), "compose must refuse to start without any of them"
    example = [line.rstrip("=") for line in (ROOT / ".env.example").read_text().splitlines() if not line.startswith("#")]
    assert set(example) == set(file.variables())
    values = dict(line.split("=") for line in drawn.read_text().splitlines())
    assert set(values) == set(example)
    assert len(set(values.values())) == len(values)
    assert all(len(value) >= 32 for value in values.values())
    assert drawn.stat().st_mode & 0o077 == 0
    assert subprocess.run(["git", "check-ignore", "-q", ".env"], cwd=ROOT, check=False).returncode == 0


def test_every_file_that_is_mounted_is_there_and_every_volume_is_declared(services: dict[str, Any]) -> None:
    mounts = [each.split(":")[0] for service in services.values() for each in service.get("volumes", ())]
    declared = set(file.loaded(stage.SECRETS)["volumes"])

    files, volumes = [each for each in mounts if each.startswith(".")], {each for each in mounts if each[0] != "."}

    assert len(files) > 5
    assert not [each for each in files if each != "./notebooks" and not (ROOT / each).is_file()]
    assert volumes == declared


def test_rules_and_dashboard_are_those_that_the_commands_write() -> None:
    promised = objectives(Settings.model_construct())
    folder = ROOT / "deploy" / "monitoring"

    assert (folder / "demlopment.rules.yml").read_text() == rules.rules(promised), (
        "demlopment monitor rules --to deploy/monitoring"
    )
    assert (folder / "demlopment.json").read_text() == dashboards.dashboard(promised), (
        "monitor dashboards --to deploy/monitoring"
    )


@pytest.mark.timeout(1200)  # MLflow alone makes its tables for a minute on a busy machine
@pytest.mark.parametrize("names", ALTOGETHER)
def test_services_find_each_other_as_the_file_has_it(names: tuple[str, ...]) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("A network with names of its own needs root, unshare and ip: apt-get install util-linux iproute2")
    absent = [missing for name in names if (missing := stage.missing(name))]
    if absent:
        pytest.skip("; ".join(absent))
    # Not in pytest's own folder, which is root's alone: PostgreSQL runs as somebody else.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        hosts = Path(folder) / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {' '.join(file.loaded(stage.SECRETS)['services'])}\n")

        done = subprocess.run(
            [ENTER, hosts, sys.executable, "-m", "tests.compose.stage", folder, *names],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr[-6000:]
    said = json.loads(done.stdout.splitlines()[-1])
    for question, answer in EXPECTED.items():
        if question in said:
            assert said[question] == answer, question


RULES = json.loads((ROOT / "deploy" / "monitoring" / "demlopment.rules.yml").read_text())
EXPECTED: dict[str, Any] = {
    "endpoint": {"predicted": 200, "without a token": 400, "managed": 200, "managed by who predicts": 400},
    "endpoint prometheus": {
        "rules": sum(len(group["rules"]) for group in RULES["groups"]),
        "told": ["http://alertmanager:9093/api/v2/alerts"],
    },
    "s3": True,
    "postgres": True,
    "s3 postgres mlflow": 200,
}
