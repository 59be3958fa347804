"""What the real TorchServe is started with, without starting one."""

from pathlib import Path

import pytest

from demlopment.serving import state
from demlopment.serving.plans import plan_from
from demlopment.serving.registration import Terms
from demlopment.serving.state import Version
from demlopment.serving.torchserve import frontend
from demlopment.serving.torchserve.installation import Installation
from demlopment.serving.torchserve.places import Places
from tests.serving.endpoint import registered

FOUND = Installation(Path("/java/bin/java"), Path("/env/bin/python"), Path("/env/site"))


def test_torchserve_is_given_what_it_can_read_and_the_rest_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = registered(tmp_path, "1.0", "2.0")
    plan = plan_from("digits", {"control": "1.0", "treatments": [{"version": "2.0", "share": 0.5}]})
    known = state.load(state.path(home)).split(plan)
    known = known.register("digits", "0.9", Version("", "http://there/predictions/m", kind="remote"))
    known = known.register("digits", "3.0", Version("a,b.mar", "a,b.mar"))
    known = known.register("digits", "4.0", Version("gone.mar", "gone.mar"))

    given = frontend._served(known, home.models, Terms())

    assert set(given.versions) == {("digits", "1.0"), ("digits", "2.0")}
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" is registered and cannot be served: ")[0] for line in told[:3]] == [
        "digits 0.9",
        "digits 3.0",
        "digits 4.0",
    ]
    assert told[0].endswith("Another server answers it, and TorchServe passes nothing on.")
    assert told[3] == "The traffic plan of digits has no effect: TorchServe answers with the default version."


def test_it_is_told_everything_by_our_file_and_sees_no_setting_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places.of(registered(tmp_path, "1.0"))
    places.prepare()
    monkeypatch.setenv("DEMLOPMENT_ENDPOINT__TOKENS", "*:secret")
    monkeypatch.setenv("TS_CONFIG_FILE", "/elsewhere")

    words = frontend.command(FOUND, places, {"model_store": "/store", "vmargs": "-Xmx1g -Da=b"})
    environment = frontend._environment(FOUND, places)

    assert words[words.index("-f") + 1] == str(places.properties)
    assert words[words.index("-s") + 1] == "/store"
    assert {"-Xmx1g", "-Da=b"} < set(words[: words.index("org.pytorch.serve.ModelServer")])
    assert not [name for name in environment if name.startswith("DEMLOPMENT_") or name == "TS_CONFIG_FILE"]
    assert environment["PATH"].startswith("/env/bin:")
