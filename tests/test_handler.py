"""TorchServe's door into an archive, opened as TorchServe does: unzipped, on the path, with a context, alone."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from demlopment import archive, images, row
from demlopment.archive import Answering, Archive, Card
from demlopment.legibility import Limits
from demlopment.records import Prediction
from demlopment.serving import engine
from demlopment.serving.predictions import in_full
from demlopment.serving.state import Version
from tests import tables
from tests.serving.endpoint import CLASSES, TEMPERATURE, digit, onnx_network, packed

# As TorchServe calls it. Our package is blocked: the archive must bring all that it needs.
SCRIPT = """
import inspect, json, sys
sys.modules["demlopment"] = None
folder, accept, *pictures = sys.argv[1:]
sys.path.insert(0, folder)
import handler

class Context:
    system_properties = {"model_dir": folder}
    model_name = "letters"
    types = {}
    def get_request_id(self, index):
        return f"r-{index}"
    def get_all_request_header(self, index):
        return {"Host": "here", "Accept": accept}
    def set_response_content_type(self, index, value):
        self.types[index] = value

context = Context()
# TorchServe refuses a file that defines more than one class.
(door,) = [each for _, each in inspect.getmembers(handler, inspect.isclass) if each.__module__ == "handler"]
served = door()
served.initialize(context)
rows = [{"data": bytearray(open(path, "rb").read())} for path in pictures]
rows.append({"body": open(pictures[0], "rb").read()})
print(json.dumps([served.handle(rows, context), sorted(set(context.types.values()))]))
"""
PICTURES = 12


def answers(folder: Path, path: Path, accept: str) -> tuple[list[str], list[str]]:
    """What the handler in an archive answers to some pictures and once more to the first one, and of which types."""
    with zipfile.ZipFile(path) as file:
        file.extractall(folder / "unzipped")
    files = [folder / f"{seed}.png" for seed in range(PICTURES)]
    for seed, each in enumerate(files):
        each.write_bytes(digit(seed))
    command = [sys.executable, "-c", SCRIPT, str(folder / "unzipped"), accept, *map(str, files)]
    said, types = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    return said, types


def expected(store: Path, path: Path) -> list[Prediction]:
    """What our own engine answers to the same."""
    network = engine.load(store, ("letters", "1.0"), Version(path.name, path.name))
    prepared = np.stack([images.prepare(digit(seed)) for seed in (*range(PICTURES), 0)])
    probabilities, embeddings = network.run(prepared)
    labels = [network.classes[best] for best in probabilities.argmax(axis=1)]
    return [
        Prediction(f"r-{number}", 0.0, "letters", "1.0", "direct", "", image, label, shares, embedding, 0.0, "")
        for number, (image, label, shares, embedding) in enumerate(
            zip(prepared, labels, probabilities, embeddings, strict=True)
        )
    ]


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_the_handler_of_a_model_that_reads_rows_answers_by_its_numbers(tmp_path: Path, accept: str) -> None:
    values, _ = tables.rows(8, seed=4)
    files = [tmp_path / f"{number}.json" for number in range(len(values))]
    for file, each in zip(files, values, strict=True):
        file.write_bytes(row.encode_json(each, tables.COLUMNS))
    with zipfile.ZipFile(tables.packed(tmp_path)) as packed_rows:
        packed_rows.extractall(tmp_path / "unzipped")

    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "unzipped"), accept, *map(str, files)]
    said, types = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)

    true = tables.probabilities(np.concatenate([values, values[:1]]))
    told = [json.loads(each) for each in said] if types else [{"label": each} for each in said]
    assert types == (["application/json"] if accept == "application/json" else [])
    assert [each["label"] for each in told] == [tables.CLASSES[best] for best in true.argmax(axis=1)]
    assert len({each["label"] for each in told}) > 1
    if types:
        assert [list(each["probabilities"].values()) for each in told] == [pytest.approx(each, abs=1e-4) for each in true]
        assert all(each["accepted"] for each in told)


def test_the_archived_handler_gives_the_labels_that_our_engine_gives(tmp_path: Path) -> None:
    path = packed(tmp_path, "1.0")

    said, types = answers(tmp_path, path, "*/*")

    assert said == [each.label for each in expected(tmp_path, path)]
    assert len(set(said)) > 1
    assert types == []


@pytest.mark.parametrize(
    "answering",
    [
        Answering(),
        Answering(calibrated=False, top_k=3),
        Answering(threshold=0.7, legible=Limits(least_ink=0.1, most_ink=0.3, most_halftones=0.5)),
    ],
)
def test_whoever_accepts_json_gets_from_the_archived_handler_what_our_engine_says(tmp_path: Path, answering: Answering) -> None:
    card = Card("digits", "1.0", CLASSES, images.VERSION, TEMPERATURE, {}, {}, answering)
    path = archive.write(tmp_path, Archive(card, onnx_network("1.0"), {}, digit(1)))

    said, types = answers(tmp_path, path, "text/plain, application/json")

    found, ours = [json.loads(each) for each in said], [in_full(each, CLASSES, answering) for each in expected(tmp_path, path)]
    for theirs, own in zip(found, ours, strict=True):
        assert list(theirs) == list(own)
        assert theirs.pop("probabilities") == pytest.approx(own.pop("probabilities"), abs=1e-6)
        assert theirs.pop("confidence") == pytest.approx(own.pop("confidence"), abs=1e-6)
        assert theirs == own
    assert types == ["application/json"]
    if answering.threshold:
        assert {each["accepted"] for each in found} == {False, True}
