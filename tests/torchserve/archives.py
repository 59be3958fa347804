"""The model store of the table: plain zips around the handlers in handlers/, good ones and all sorts of bad ones."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.serving.endpoint import packed

MANIFEST = "MAR-INF/MANIFEST.json"
HANDLERS = Path(__file__).parent / "handlers"

CROWDED = "minWorkers: 1\njobQueueSize: 1\n"
SETTLED = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 3\nmaxBatchDelay: 40\nresponseTimeout: 7\nstartupTimeout: 50\nmood: calm\n"


def build(store: Path) -> None:
    """Write every archive that the table registers."""
    packed(store, "1.0")  # digits-1.0.mar, ours: a network, and a handler for TorchServe
    for name, content in _archives().items():
        (store / name).write_bytes(content)


def _archives() -> Mapping[str, bytes]:
    return {
        "mirror.mar": _archive("mirror"),
        "mirror-2.mar": _archive("mirror", version="2.0"),
        "answers.mar": _archive("answers"),
        "based.mar": _archive("based"),
        "steps.mar": _archive("steps", handler="steps:entry"),
        "settled.mar": _archive("mirror", name="settled", config=SETTLED),
        "crowded.mar": _archive("answers", name="crowded", config=CROWDED),
        "wrapped.mar": _archive("wrapped"),
        "sad.mar": _archive("sad"),
        "starved.mar": _archive("starved"),
        "nameless.mar": _zip(
            {MANIFEST: json.dumps({"runtime": "python", "model": {"handler": "mirror.py"}}), **_code("mirror")}
        ),
        "bare.mar": _zip(_code("mirror")),
        "torn.mar": _zip({MANIFEST: '{"model":', **_code("mirror")}),
        "slip.mar": _zip({MANIFEST: _manifest("slip", "1.0", "mirror.py"), **_code("mirror"), "../../slipped.txt": "out"}),
        "text.mar": b"This is no zip file.\n",
    }


def _archive(code: str, *, name: str = "", version: str = "1.0", handler: str = "", config: str = "") -> bytes:
    members = {MANIFEST: _manifest(name or code, version, handler or f"{code}.py", config=bool(config)), **_code(code)}
    return _zip(members | ({"model-config.yaml": config} if config else {}))


def _manifest(name: str, version: str, handler: str, *, config: bool = False) -> str:
    model = {"modelName": name, "handler": handler, "modelVersion": version}
    if config:
        model["configFile"] = "model-config.yaml"
    return json.dumps({"createdOn": "23/11/2026 18:57:30", "runtime": "python", "model": model, "archiverVersion": "0.12.0"})


def _code(name: str) -> dict[str, str]:
    return {f"{name}.py": (HANDLERS / f"{name}.py").read_text()}


def _zip(members: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return packed.getvalue()
