"""What a foreign archive says of itself: TorchServe's defaults and words, and nothing that was not verified."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from demlopment.errors import RequestError
from demlopment.serving.handlers import manifest
from demlopment.serving.handlers.options import Options
from demlopment.serving.handlers.spec import Spec
from demlopment.serving.state import Version
from demlopment.settings import Endpoint
from tests.serving.handlers.hosting import packed

LIMIT = 1_000_000
MODEL = {"modelName": "echo", "modelVersion": "2.1", "handler": "handler.py"}


def refused(path: Path, **asked: Any) -> tuple[int, str, str]:
    with pytest.raises(RequestError) as refusal:
        manifest.read(path, LIMIT, **asked)
    return refusal.value.status, refusal.value.kind, str(refusal.value)


def test_name_version_and_handler_come_from_the_manifest(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": ""}, MODEL)

    found = manifest.read(path, LIMIT)

    assert (found.name, found.version, found.handler, found.requirements) == ("echo", "2.1", "handler.py", "")
    assert (found.options, found.ignored) == (Options(), ())


def test_without_a_manifest_a_given_name_is_enough(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": ""})

    found = manifest.read(path, LIMIT, name="given")

    assert (found.name, found.version, found.handler) == ("given", "1.0", "default_service_handler")


def test_what_a_registration_gives_wins_over_the_manifest(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": ""}, MODEL)

    found = manifest.read(path, LIMIT, name="other", handler="module:function")

    assert (found.name, found.handler) == ("other", "module:function")


def test_a_version_that_was_written_as_a_number_is_its_text(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": ""}, {**MODEL, "modelVersion": 1.0})

    assert manifest.read(path, LIMIT).version == "1.0"


@pytest.mark.parametrize("model", [None, {}, {"handler": "handler.py"}])
def test_no_name_anywhere_is_torchserves_refusal(tmp_path: Path, model: dict[str, str] | None) -> None:
    path = packed(tmp_path / "a.mar", {"handler.py": ""}, model)

    assert refused(path) == (400, "InvalidModelException", "Model name is not defined.")


def test_a_file_that_is_no_zip_is_named_and_by_the_letter_has_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mar"
    path.write_bytes(b"not a zip")

    assert refused(path, strict=True) == (400, "InvalidModelException", "Model name is not defined.")
    assert refused(path)[2].startswith("a.mar is not a whole zip file")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"model": 3}', '{"model": {"modelName": ["a"]}}', "[" * 100_000, b"\xff\xfe", '{"runtime": {}}'],
)
def test_a_broken_manifest_is_torchserves_refusal(tmp_path: Path, text: str | bytes) -> None:
    path = packed(tmp_path / "a.mar", {manifest.MANIFEST: text})

    assert refused(path, name="given") == (400, "InvalidModelException", "Failed to parse signature.json.")


@pytest.mark.parametrize("runtime", ["LSP", "python4"])
def test_another_runtime_is_refused(tmp_path: Path, runtime: str) -> None:
    path = packed(tmp_path / "a.mar", {manifest.MANIFEST: json.dumps({"runtime": runtime, "model": MODEL})})

    assert refused(path) == (400, "BadRequestException", f"Invalid RuntimeType value: {runtime}")


def test_a_dangerous_member_is_named_and_by_the_letter_it_is_the_servers_fault(tmp_path: Path) -> None:
    path = packed(tmp_path / "slip.mar", {"../out.py": ""}, MODEL)

    status, kind, message = refused(path)

    assert (status, kind) == (400, "InvalidModelException")
    assert message.startswith("Failed to save model: slip.mar: its member '../out.py' leads out")
    assert refused(path, strict=True) == (500, "InternalServerException", "Failed to save model: slip.mar")


def test_the_configuration_is_read_and_what_is_not_applied_is_named(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.mar",
        {"model-config.yaml": "minWorkers: 2\nmaxWorkers: 3\nparallelType: pp\nmine: 1\n"},
        {**MODEL, "configFile": "/somewhere/else/model-config.yaml"},
    )

    found = manifest.read(path, LIMIT)

    assert found.options == Options(min_workers=2, max_workers=3)
    assert found.ignored == ("parallelType",)


def test_a_broken_configuration_is_torchserves_refusal(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"c.yaml": "a: [1"}, {**MODEL, "configFile": "c.yaml"})

    status, kind, message = refused(path)

    assert (status, kind) == (400, "InvalidModelException")
    assert message.startswith("Failed to parse model config yaml file.")


def test_a_configuration_that_is_named_and_missing_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {}, {**MODEL, "configFile": "c.yaml"})

    assert "has no 'c.yaml'" in refused(path)[2]


def test_requirements_are_ignored_unless_they_may_be_installed_and_refused_where_they_must(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.mar", {"requirements.txt": "numpy"}, {**MODEL, "requirementsFile": "requirements.txt"})
    asked = [Endpoint(), Endpoint(allow_requirements=True), Endpoint(allow_requirements=True, install_requirements=True)]

    status, kind, message = refused(path, packages=manifest.packages(Endpoint(install_requirements=True)))
    found = [manifest.read(path, LIMIT, packages=manifest.packages(settings)) for settings in asked]

    assert (status, kind) == (400, "InvalidModelException")
    assert "allow_requirements" in message
    assert [each.requirements for each in found] == ["", "requirements.txt", "requirements.txt"]
    assert [each.uninstalled for each in found] == ["requirements.txt", "", ""]
    assert [each.name for each in tmp_path.iterdir()] == ["a.mar"]


def wheel(folder: Path) -> Path:
    """A package that says 7, installable without a network."""
    path = folder / "sevens-1.0-py3-none-any.whl"
    info = "sevens-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("sevens.py", "SEVEN = 7")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sevens\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def test_allowed_requirements_are_installed_beside_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    text = f"sevens @ {wheel(tmp_path).as_uri()}"
    path = packed(tmp_path / "a.mar", {"requirements.txt": text}, {**MODEL, "requirementsFile": "requirements.txt"})

    folder = manifest.unpack(manifest.read(path, LIMIT, packages="install"), tmp_path / "root", LIMIT)

    assert (folder / manifest.PACKAGES / "sevens.py").is_file()


def test_what_was_installed_is_copied_into_the_next_folder_without_being_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package = wheel(tmp_path)
    text = f"sevens @ {package.as_uri()}"
    path = packed(tmp_path / "a.mar", {"requirements.txt": text}, {**MODEL, "requirementsFile": "requirements.txt"})
    found = manifest.read(path, LIMIT, packages="install")
    first = manifest.unpack(found, tmp_path / "root", LIMIT)
    (first / manifest.PACKAGES / "sevens.py").write_text("SEVEN = 8")
    package.unlink()

    second = manifest.unpack(found, tmp_path / "root", LIMIT)

    assert (second / manifest.PACKAGES / "sevens.py").read_text() == "SEVEN = 7"


def test_requirements_that_cannot_be_installed_are_a_refusal_and_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    path = packed(tmp_path / "a.mar", {"requirements.txt": "nowhere==9"}, {**MODEL, "requirementsFile": "requirements.txt"})
    found = manifest.read(path, LIMIT, packages="install")

    with pytest.raises(RequestError, match="nowhere") as refusal:
        manifest.unpack(found, tmp_path / "root", LIMIT)

    assert refusal.value.status == 400
    assert not (tmp_path / "root" / found.digest / manifest.PACKAGES).exists()


def test_options_follow_torchserves_precedence() -> None:
    asked = Version("a.mar", "a.mar", min_workers=1, max_workers=1, batch_size=8, startup_timeout=5)
    said = Options(min_workers=2, max_workers=3, batch_size=4, max_batch_delay=7, startup_timeout=60, queue_size=9)

    applied = said.over(asked)

    assert (applied.min_workers, applied.max_workers) == (2, 3), "the file wins"
    assert applied.startup_timeout == 60, "the file wins"
    assert applied.batch_size == 8, "the registration named one"
    assert applied.max_batch_delay == 7, "the registration left the default"
    assert applied.job_queue_size == 9
    assert applied.response_timeout == asked.response_timeout


def test_fewer_most_workers_than_least_are_not_applied() -> None:
    asked = Version("a.mar", "a.mar", min_workers=1, max_workers=1)

    assert Options(min_workers=3, max_workers=2).over(asked) == asked
    assert Options(min_workers=3).over(asked) == asked


def test_a_spec_holds_what_was_registered_what_the_file_says_and_what_is_set(tmp_path: Path) -> None:
    text = "clientTimeoutInMills: 7\nmaxRetryTimeoutInSec: 9"
    path = packed(tmp_path / "a.mar", {"c.yaml": text}, {**MODEL, "configFile": "c.yaml"})
    found = manifest.read(path, LIMIT, handler="other.py")
    version = found.options.over(Version("a.mar", "a.mar", min_workers=2, max_workers=1, batch_size=4, kind="handler"))
    settings = Endpoint(
        service_envelope="body", worker_memory_mb=100, hidden_variables="X", handler_env="Y", queue_full_status=429
    )

    spec = Spec.of(("echo", "2.1"), version, found, tmp_path, settings)

    assert (spec.key, spec.handler, spec.folder) == (("echo", "2.1"), "other.py", tmp_path)
    assert (spec.min_workers, spec.max_workers, spec.batch_size) == (2, 2, 4)
    assert (spec.client_timeout, spec.retry_timeout, spec.queue_full_status) == (7, 9, 429)
    assert (spec.envelope, spec.memory_mb, spec.hidden, spec.passed) == ("body", 100, "X", "Y")


@pytest.mark.parametrize("value", ["many", "true", "-1", "0", "1.5", "[1]", "100000000000000000000"])
def test_a_value_that_does_not_fit_is_not_applied_and_named(tmp_path: Path, value: str) -> None:
    path = packed(tmp_path / "a.mar", {"c.yaml": f"batchSize: {value}"}, {**MODEL, "configFile": "c.yaml"})

    found = manifest.read(path, LIMIT)

    assert (found.options, found.ignored) == (Options(), ("batchSize",))


def test_a_configuration_cannot_make_objects(tmp_path: Path) -> None:
    text = "a: !!python/object/apply:os.mkdir [made]"
    path = packed(tmp_path / "a.mar", {"c.yaml": text}, {**MODEL, "configFile": "c.yaml"})

    assert refused(path)[0] == 400
    assert not (Path(os.getcwd()) / "made").exists()  # noqa: PTH109  # where the object would be made
