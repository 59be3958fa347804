"""Strokes drawn on a canvas of a real browser and sent by its `fetch` are the tensor that any other way gives.

Skipped where there is no browser: `apt-get install chromium` brings it.
"""

import json
import queue
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from demlopment import images
from demlopment.evaluation.hands import DIGITS
from demlopment.images import Grey
from demlopment.serving import read
from tests.serving.endpoint import free_ports, registered, running
from tests.web.test_browser import CHROMIUM, QUIET, pytestmark

__all__ = ["pytestmark"]
DRAWINGS = 24
# Draws each on a canvas, sends what the canvas exports as a picture and its pixels as numbers, and tells what it sent.
PAGE = """<!DOCTYPE html><link rel="icon" href="data:,"><script>
const { endpoint, drawings } = %s;

function drawn({ side, pen, ink, paper, strokes }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (paper) {
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
  }
  Object.assign(context, { lineWidth: pen, lineCap: "round", lineJoin: "round", strokeStyle: ink });
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y]) => context.lineTo(x, y));
    context.stroke();
  }
  return canvas;
}

function rows({ data, width, height }) {
  return [...Array(height).keys()].map(row => [...Array(width).keys()].map(column => data[4 * (row * width + column)]));
}

async function asked(path, id, body, type) {
  const headers = { "x-request-id": id, "content-type": type };
  const answer = await fetch(endpoint + path, { method: "POST", body, headers });
  return { status: answer.status, body: await answer.text() };
}

async function all() {
  const told = [];
  for (const [number, drawing] of drawings.entries()) {
    const canvas = drawn(drawing);
    const blob = await new Promise(done => canvas.toBlob(done, "image/png"));
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const one = { png: btoa(String.fromCharCode(...bytes)) };
    one.picture = await asked("/predictions/digits", `${number}-picture`, blob, "image/png");
    const form = new FormData();
    form.append("data", blob, "drawn.png");
    one.form = await fetch(endpoint + "/predictions/digits",
      { method: "POST", body: form, headers: { "x-request-id": `${number}-form` } }).then(answer => answer.text());
    if (drawing.paper) {
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const body = JSON.stringify({ instances: [rows(pixels)] });
      one.numbers = await asked("/v1/models/digits:predict", `${number}-numbers`, body, "application/json");
    }
    told.push(one);
  }
  return told;
}

all().catch(error => String(error)).then(told => fetch("/told", { method: "POST", body: JSON.stringify(told) }));
</script>"""


@dataclass
class Site:
    """A page on loopback, and what it told."""

    address: str
    page: str
    told: "queue.Queue[Any]"


@pytest.fixture
def site() -> Iterator[Site]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(found.page.encode() if self.path == "/" else b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/told":  # what the browser asks others on its own account comes here too, with an address
                found.told.put(json.loads(body))
            self._answer(b"")

        do_CONNECT = do_GET  # noqa: N815 - the name is the protocol's

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _answer(self, body: bytes) -> None:
            self.send_response(200 if body else 204)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        found = Site(f"http://127.0.0.1:{server.server_port}", "", queue.Queue())
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def drawings() -> list[dict[str, Any]]:
    """Every digit in some hand, at many sizes, places and slants, with many pens; every third on transparent paper."""
    rng = np.random.default_rng(1)
    hands = [hand for written in DIGITS.values() for hand in written]
    found = []
    for number in range(DRAWINGS):
        side, share = int(rng.integers(24, 400)), rng.uniform(0.3, 0.8)
        corner = rng.uniform(0.05, 0.95 - share, 2)
        strokes = [((stroke * share + corner) * side).tolist() for stroke in hands[number % len(hands)]]
        ink, paper = ("#101418", "") if number % 3 == 0 else ("#141414", "#f5f5f5")
        found.append(
            {"side": side, "pen": share * side * rng.uniform(0.06, 0.16), "ink": ink, "paper": paper, "strokes": strokes}
        )
    return found


def test_what_is_drawn_in_a_browser_is_one_tensor_whichever_way_it_is_sent(site: Site, tmp_path: Path) -> None:
    registered(tmp_path, "1.0")
    allowed = {
        "cors_allowed_origin": site.address,
        "cors_allowed_methods": "POST, OPTIONS",
        "cors_allowed_headers": "content-type, x-request-id",
    }
    with running(tmp_path, free_ports(processes=1, **allowed)) as endpoint:
        address = str(endpoint.inference.base_url).rstrip("/")
        site.page = PAGE % json.dumps({"endpoint": address, "drawings": drawings()})
        command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--proxy-server={site.address}", site.address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                told = site.told.get(timeout=120)
            finally:
                browser.kill()
        assert isinstance(told, list), told
        pngs = [b64decode(each["png"]) for each in told]
        files = [endpoint.inference.post("/predictions/digits", content=png).text for png in pngs]

    kept = {each.request_id: each.image for each in read(tmp_path / "endpoint" / "journal")[0]}
    assert len(told) == DRAWINGS
    for number, (each, png, said) in enumerate(zip(told, pngs, files, strict=True)):
        tensor = images.prepare(png)
        assert tensor.any()
        assert each["picture"] == {"status": 200, "body": said}
        assert each["form"] == said
        assert each.get("numbers", each["picture"])["status"] == 200
        sent = [f"{number}-{way}" for way in ("picture", "form", "numbers") if way in each]
        for image in (*map(kept.get, sent), images.prepare(_pixels(png))):
            assert image is not None
            assert np.array_equal(image, tensor)


def _pixels(png: bytes) -> Grey:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA), np.uint8)
