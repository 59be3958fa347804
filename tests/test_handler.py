"""TorchServe's door into an archive, opened as TorchServe does: unzipped, on the path, with a context, alone."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime

from demlopment import archive, images
from tests.serving.endpoint import packed

# As TorchServe calls it. Our package is blocked: the archive must bring all that it needs.
SCRIPT = """
import json, sys, types
sys.modules["demlopment"] = None
folder, *pictures = sys.argv[1:]
sys.path.insert(0, folder)
import handler
context = types.SimpleNamespace(system_properties={"model_dir": folder})
served = handler.Handler()
served.initialize(context)
rows = [{"data": bytearray(open(path, "rb").read())} for path in pictures]
rows.append({"body": open(pictures[0], "rb").read()})
print(json.dumps(served.handle(rows, context)))
"""


def test_the_archived_handler_gives_the_labels_that_our_engine_gives(tmp_path: Path) -> None:
    path = packed(tmp_path, "1.0")
    model = archive.read(path)
    rng = np.random.default_rng(3)
    drawn = [np.where(rng.random((40, 30)) < 0.2, 20, 240).astype(np.uint8) for _ in range(6)]
    files = [tmp_path / f"{number}.png" for number in range(len(drawn))]
    for file, picture in zip(files, drawn, strict=True):
        file.write_bytes(images.encode_png(picture))
    with zipfile.ZipFile(path) as file_in_archive:
        file_in_archive.extractall(tmp_path / "unzipped")

    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "unzipped"), *map(str, files)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)

    session = onnxruntime.InferenceSession(model.network, providers=["CPUExecutionProvider"])
    batch = images.as_input(np.stack([images.prepare(picture) for picture in [*drawn, drawn[0]]]))
    (logits,) = session.run(["logits"], {"image": batch})
    assert said == [model.card.classes[best] for best in logits.argmax(axis=1)]
    assert len(set(said)) > 1
