"""The way from a real TorchServe to us, as docs/torchserve.md walks it: in front of it, beside it, without it."""

import json
import shutil
from pathlib import Path

import pytest

from demlopment.home import Home
from demlopment.serving import read, state
from demlopment.serving.torchserve.places import Places
from tests.serving.endpoint import digit, expected, free_ports, packed, registered, running
from tests.test_cli import run
from tests.torchserve.test_engine import serving
from tests.torchserve.test_torchserve import SORRY

pytestmark = pytest.mark.skipif(bool(SORRY), reason=SORRY)

ANYWHERE = "http://127\\.0\\.0\\.1:[0-9]+/.*"
JSON = {"accept": "application/json"}


def test_a_model_moves_from_torchserve_to_us_with_a_split_between_the_two(tmp_path: Path) -> None:
    there, here = registered(tmp_path / "there", "1.0"), Home(tmp_path / "here")
    packed(there.models, "2.0")
    with serving(there, "torchserve") as theirs:
        made = theirs.management.post("/models?url=digits-2.0.mar&initial_workers=1&synchronous=true&batch_size=4")
        assert made.status_code == 200
        assert theirs.management.put("/models/digits/2.0/set-default").status_code == 200
        snapshots = tmp_path / "snapshots"
        shutil.copytree(Places.of(there).snapshots, snapshots)

        words: list[str | Path] = ["migrate", "--snapshot", snapshots, "--model-store", there.models]
        planned = run(*words, "--dry-run", home=here.root)
        moved = run(*words, home=here.root)

        assert planned.stdout.splitlines()[-1] == "2 versions would come over, 0 cannot."
        assert (moved.returncode, moved.stdout.splitlines()[-1]) == (0, "2 versions have come over, 0 cannot.")
        kept = state.load(state.path(here))
        assert kept.models["digits"].default == "2.0"
        assert {key: (each.min_workers, each.batch_size) for key, each in kept.versions.items()} == {
            ("digits", "1.0"): (1, 1),
            ("digits", "2.0"): (1, 4),
        }

        with running(here.root, free_ports(processes=1, allowed_upstreams=ANYWHERE)) as gateway:
            upstream = f"{str(theirs.inference.base_url).rstrip('/')}/predictions/digits"
            values = {"upstream": upstream, "model_name": "digits", "version": "0.9"}
            assert gateway.management.post("/models", params=values).status_code == 200
            ready = gateway.inference.get("/ready")
            label = gateway.inference.post("/predictions/digits/0.9", content=digit(3), headers={"x-request-id": "moving"})
            bad = gateway.inference.post("/predictions/digits/0.9", content=b"no picture")
            kserve = gateway.inference.post("/v1/models/digits:predict", content=digit(3))
            plan = {"control": "0.9", "treatments": [{"version": "2.0", "share": 0.5}], "shadows": ["1.0"]}
            split = gateway.management.put("/models/digits/traffic", json=plan)
            said = [
                gateway.inference.post("/predictions/digits", content=digit(3), headers={**JSON, "x-unit-id": f"{number}"})
                for number in range(30)
            ]
            back = gateway.inference.post("/feedback", content=json.dumps({"request_id": "moving", "label": label.text}))

    assert ready.status_code == 200
    assert label.text == str(expected(digit(3), "2.0").argmax())
    assert (bad.status_code, bad.json()["message"]) == (503, "Prediction failed")  # TorchServe's words
    assert kserve.status_code == 200
    assert split.status_code == 200, split.text
    assert {each.headers["x-arm"] for each in said} == {"control", "treatment"}
    for each in said:
        assert each.json()["probabilities"] == pytest.approx(said[0].json()["probabilities"], abs=1e-4)
    assert back.status_code == 200
    predictions, feedback = read(here.endpoint / "journal")
    assert {(each.version, each.label) for each in predictions} == {("0.9", label.text), ("2.0", label.text)}
    assert [each.request_id for each in feedback] == ["moving"]
