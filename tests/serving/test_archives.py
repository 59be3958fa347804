"""Archives of Python handlers over HTTP: what a handler does to its folder stays in its folder."""

import json
import os
import shutil
import signal
import tarfile
from pathlib import Path

from demlopment.serving.handlers.spec import Spec
from tests.serving.endpoint import Running, eventually, free_ports, running
from tests.serving.handlers.hosting import packed

# Answers with a file of its archive, and replaces its own code.
VANDAL = """
import json

def handle(data, context):
    if data is None:
        return None
    said = json.load(open("index_to_name.json"))["0"]
    with open("handler.py", "w") as code:
        code.write("def handle(data, context): return data and ['tampered'] * len(data)")
    return [said] * len(data)
"""


def vandal(store: Path) -> Path:
    store.mkdir(parents=True, exist_ok=True)
    model = {"modelName": "vandal", "handler": "handler.py"}
    return packed(store / "vandal.mar", {"handler.py": VANDAL, "index_to_name.json": '{"0": "original"}'}, model)


def said(endpoint: Running, model: str) -> str:
    return endpoint.inference.post(f"/predictions/{model}", content=b"x").text


def register(endpoint: Running, query: str) -> None:
    assert endpoint.management.post(f"/models?{query}&initial_workers=1", timeout=60).status_code == 200


def folders(endpoint: Running) -> int:
    return len(list((endpoint.home.endpoint / "handlers" / "archives").iterdir()))


def test_a_handler_that_overwrites_its_code_changes_no_other_registration_and_no_later_one(tmp_path: Path) -> None:
    settings = free_ports(allow_handlers=True)
    vandal(tmp_path / "models")

    with running(tmp_path, settings) as endpoint:
        register(endpoint, "url=vandal.mar")
        first = said(endpoint, "vandal")
        register(endpoint, "url=vandal.mar&model_name=other")
        other, two = said(endpoint, "other"), folders(endpoint)
        assert endpoint.management.delete("/models/vandal").status_code == 200
        one = folders(endpoint)
        register(endpoint, "url=vandal.mar")
        again = said(endpoint, "vandal")
        os.kill(endpoint.process.pid, signal.SIGKILL)
        endpoint.process.wait()
        left = folders(endpoint)
    with running(tmp_path, settings) as endpoint:
        after_a_crash, swept = said(endpoint, "vandal"), folders(endpoint)
    nothing = folders(endpoint)

    assert (first, other, again, after_a_crash) == ("original",) * 4
    assert (two, one, left, swept, nothing) == (2, 1, 2, 2, 0)


def test_a_reason_that_ends_in_a_full_stop_is_part_of_a_sentence(tmp_path: Path) -> None:
    spec = Spec("m", "1.0", tmp_path, "handler.py")

    assert spec.explained("ValueError: nothing.") == "ValueError: nothing"


def test_a_registration_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    packed(tmp_path / "models" / "sad.mar", {"handler.py": "1 / 0"}, {"modelName": "sad", "handler": "handler.py"})

    with running(tmp_path, free_ports(allow_handlers=True)) as endpoint:
        answer = endpoint.management.post("/models?url=sad.mar&initial_workers=1", timeout=60)
        left = folders(endpoint)

    assert (answer.status_code, left) == (500, 0)


def test_a_folder_and_a_tar_are_loaded_at_start_and_a_later_change_of_the_folder_is_not(tmp_path: Path) -> None:
    store = tmp_path / "models"
    for kind in ("folder", "tar"):
        model = {"modelName": kind, "handler": "handler.py"}
        (store / kind / "MAR-INF").mkdir(parents=True)
        (store / kind / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"runtime": "python", "model": model}))
        (store / kind / "handler.py").write_text(f"def handle(data, context): return data and ['{kind}'] * len(data)")
    with tarfile.open(store / "tar.tar.gz", "w:gz") as file:
        file.add(store / "tar", "tar")
    shutil.rmtree(store / "tar")

    with running(tmp_path, free_ports(allow_handlers=True, load_models="all")) as endpoint:
        loaded = said(endpoint, "folder"), said(endpoint, "tar")
        (store / "folder" / "handler.py").write_text("changed")
        for pid in endpoint.pids("folder"):
            os.kill(pid, signal.SIGKILL)
        unchanged = eventually(lambda: said(endpoint, "folder") == "folder")
        for name, file_name in (("folder", "folder"), ("tar", "tar.tar.gz")):
            assert endpoint.management.delete(f"/models/{name}").status_code == 200
            (store / "folder" / "handler.py").write_text("def handle(data, context): return data and ['new'] * len(data)")
            register(endpoint, f"url={file_name}")
        again = said(endpoint, "folder"), said(endpoint, "tar")

    assert loaded == ("folder", "tar")
    assert unchanged
    assert again == ("new", "tar")


def test_requirements_that_are_not_installed_are_named_when_an_import_fails(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    code = "import {module}\ndef handle(data, context): return data and ['yes'] * len(data)"
    for name, module in (("needy", "no_such_package_anywhere"), ("content", "json")):
        model = {"modelName": name, "handler": "handler.py", "requirementsFile": "requirements.txt"}
        files = {"handler.py": code.format(module=module), "requirements.txt": "no-such-package-anywhere"}
        packed(tmp_path / "models" / f"{name}.mar", files, model)

    with running(tmp_path, free_ports(allow_handlers=True)) as endpoint:
        register(endpoint, "url=content.mar")
        content = said(endpoint, "content")
        needy = endpoint.management.post("/models?url=needy.mar&initial_workers=1", timeout=60)

    assert content == "yes"
    assert needy.status_code == 500
    assert needy.json()["message"].endswith(
        "ModuleNotFoundError: No module named 'no_such_package_anywhere'. "
        "Its requirements.txt was not installed: endpoint.allow_requirements would do that"
    )
