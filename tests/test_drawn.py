"""Strokes drawn at any size, at any place and with any pen are one tensor, bit for bit, whichever way they reach a model."""

import itertools
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote_from_bytes

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment import images
from demlopment.data.contract import FILE
from demlopment.data.transform import prepared
from demlopment.evaluation.hands import DIGITS, Page, drawn
from demlopment.images import Grey
from demlopment.serving import read
from demlopment.serving.inference import Inference
from demlopment.serving.state import State, Version
from tests.serving.endpoint import packed
from tests.serving.local import app, ask

NUMBERS = itertools.count()
LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)
shares = st.floats(0, 1)
drawings = st.builds(
    drawn,
    st.sampled_from([hand for hands in DIGITS.values() for hand in hands]),
    st.builds(
        Page,
        side=st.integers(20, 160),
        height=st.floats(0.2, 0.9),
        width=st.floats(0.5, 1.0),
        pen=st.floats(0.03, 0.2),
        slant=st.floats(-0.2, 0.3),
        place=st.tuples(shares, shares),
        ink=st.integers(0, 60),
        paper=st.integers(150, 255),
    ),
)


def encoded(picture: npt.NDArray[np.generic], kind: str = ".png", options: tuple[int, ...] = ()) -> bytes:
    done, data = cv2.imencode(kind, np.asarray(picture, np.uint8), options)
    assert done
    return bytes(data)


@settings(max_examples=100)
@given(picture=drawings)
def test_an_array_is_the_file_that_holds_it(picture: Grey) -> None:
    tensor = images.prepare(picture)

    colours = np.repeat(picture[:, :, None], 3, axis=2)
    opaque = np.dstack([colours, np.full_like(picture, 255)])
    for same in (
        encoded(picture),
        encoded(picture, ".bmp"),
        encoded(picture, ".webp", LOSSLESS),
        encoded(colours),
        encoded(opaque),  # as a canvas exports what was filled with paper first
        colours,
        opaque,
        picture[:, :, None],
        picture.astype(np.uint16) * 257,
        np.asarray(picture, np.float64) / 255,
        memoryview(encoded(picture)),
    ):
        assert np.array_equal(images.prepare(same), tensor)


@settings(max_examples=50)
@given(alpha=drawings)
def test_a_canvas_whose_paper_is_transparent_is_black_ink_on_white(alpha: Grey) -> None:
    ink = 255 - alpha
    canvas = np.dstack([np.zeros((*ink.shape, 3), np.uint8), ink])

    assert np.array_equal(images.prepare(encoded(canvas)), images.prepare(alpha))


@settings(max_examples=25)
@given(pictures=st.lists(drawings, min_size=1, max_size=5))
def test_a_batch_and_an_ingested_file_hold_the_same_tensors(pictures: list[Grey]) -> None:
    files = [encoded(picture) for picture in pictures]
    alone = [images.prepare(file) for file in files]

    batch = images.stacked(alone)
    ingested = prepared(files, pl.Series([FILE] * len(files)))

    assert np.array_equal(batch, np.stack(alone))
    assert ingested == [tensor.tobytes() for tensor in alone]
    assert np.array_equal(images.as_input(batch), np.concatenate([images.as_input(tensor) for tensor in alone]))


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    root = tmp_path_factory.mktemp("drawn")
    file = packed(root, "1.0").name
    local = app(root, State().register("digits", "1.0", Version(file, file, 1, 1)))
    yield local
    local.journal.close()


@settings(max_examples=15, deadline=None)
@given(picture=drawings)
def test_every_way_to_ask_the_endpoint_journals_the_same_tensor(inference: Inference, picture: Grey) -> None:
    """What the journal keeps of a request is what the network was given."""
    tensor, name = images.prepare(picture), f"drawn-{next(NUMBERS)}"
    asked = ways(picture)

    said = {
        way: ask(inference, "POST", target, body, {"x-request-id": f"{name}-{way}", **headers})
        for way, (target, body, headers) in asked.items()
    }

    assert {way: each.status for way, each in said.items()} == dict.fromkeys(asked, 200)
    kept = {each.request_id: each.image for each in read(journal(inference))[0] if each.request_id.startswith(f"{name}-")}
    assert len(kept) == len(asked) + 1  # the last way asks for two pictures
    for image in kept.values():
        assert image is not None
        assert np.array_equal(image, tensor)


def journal(inference: Inference) -> Path:
    return inference.launch.home / "journal"


def ways(picture: Grey) -> dict[str, tuple[str, bytes, Mapping[str, str]]]:
    """Target, body and headers of each way to send one picture; of the last one, of two."""
    png, text = encoded(picture), b64encode(encoded(picture)).decode()
    form = (
        b'--edge\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        + png
        + b"\r\n--edge--\r\n"
    )
    path, first, second = "/predictions/digits", "/v1/models/digits:predict", "/v2/models/digits/infer"
    document = {"content-type": "application/json"}
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    pixels = {"name": "image", "shape": [1, *picture.shape], "datatype": "UINT8", "data": picture.ravel().tolist()}
    binary = {**pixels, "parameters": {"binary_data_size": picture.size}}
    del binary["data"]
    head = json.dumps({"inputs": [binary]}).encode()
    encoding = {"content-type": "application/x-www-form-urlencoded"}
    return {
        "raw": (path, png, {}),
        "multipart": (path, form, {"content-type": "multipart/form-data; boundary=edge"}),
        "urlencoded": (path, b"data=" + quote_from_bytes(png).encode(), encoding),
        "base64": (first, json.dumps({"instances": [{"data": text}]}).encode(), document),
        "numbers": (first, json.dumps({"instances": [picture.tolist()]}).encode(), document),
        "bytes": (second, json.dumps({"inputs": [tensor]}).encode(), document),
        "pixels": (second, json.dumps({"inputs": [pixels]}).encode(), document),
        "binary": (second, head + picture.tobytes(), {"inference-header-content-length": str(len(head))}),
        "batch": (first, json.dumps({"instances": [{"b64": text}, picture.tolist()]}).encode(), document),
    }
