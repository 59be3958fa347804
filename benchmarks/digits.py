"""The picture and the networks that the endpoint's benchmarks use: the real shape, not trained, which costs the same."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demlopment import archive, images
from demlopment.archive import Archive, Card
from demlopment.data import packaged_digits
from demlopment.home import Home
from demlopment.serving import state
from demlopment.serving.state import Version
from demlopment.training.export import export
from demlopment.training.fit import Fitted
from demlopment.training.network import initialised

CLASSES = tuple("0123456789")
MODEL, CHAMPION, CHALLENGER, NEWCOMER = "digits", "1.0", "2.0", "3.0"


@dataclass(frozen=True)
class Material:
    """What every contestant serves and is asked."""

    home: Path  # ours: the first two versions are registered, the third is only in the model store
    store: Path  # the archives
    network: Path  # the ONNX file inside the first archive
    preprocessing: Path  # the folder of the images.py inside it
    picture: Path  # PNG
    picture_json: Path  # the same, for those that take JSON


def prepared(folder: Path, processes: int) -> Material:
    """Write all of it below `folder`."""
    home = Home(folder / "home")
    pixels = np.frombuffer(packaged_digits().frame["image"][0], np.uint8).reshape(images.SIDE, images.SIDE)
    picture = images.encode_png(pixels)
    served = state.load(state.path(home))
    for seed, version in enumerate((CHAMPION, CHALLENGER, NEWCOMER), 1):
        network = export(Fitted(initialised(len(CLASSES), seed).eval(), 1.0, (), 0.0))
        card = Card(MODEL, version, CLASSES, images.VERSION, 1.0, {}, {})
        file = archive.write(home.models, Archive(card, network, {}, picture)).name
        if version == CHAMPION:
            (folder / "model.onnx").write_bytes(network)
        if version != NEWCOMER:
            served = served.register(MODEL, version, Version(file, file, min_workers=processes, max_workers=processes))
    state.save(state.path(home), served)
    (folder / "images.py").write_bytes(Path(images.__file__).read_bytes())
    (folder / "digit.png").write_bytes(picture)
    (folder / "digit.json").write_text(json.dumps({"image": base64.b64encode(picture).decode()}))
    return Material(home.root, home.models, folder / "model.onnx", folder, folder / "digit.png", folder / "digit.json")
