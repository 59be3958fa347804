"""The report in a real browser. Skipped where there is none: `apt-get install chromium` brings it."""

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demlopment import web
from demlopment.records import BadRow, Exhibit
from tests import fakes

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
# Opens every fold, then says how wide the page would like to be, and what it tried to load.
MEASURE = """<!DOCTYPE html><link rel="icon" href="data:,">
<body><iframe id="page" src="{path}" style="border: 0; width: {width}px; height: 800px"></iframe>
<script>
window.addEventListener("load", () => {{
  const frame = document.getElementById("page").contentWindow;
  frame.document.querySelectorAll("details").forEach(fold => {{ fold.open = true; }});
  document.body.dataset.found = JSON.stringify({{
    wanted: frame.document.documentElement.scrollWidth,
    given: frame.document.documentElement.clientWidth,
    folds: frame.document.querySelectorAll("details").length,
    loaded: frame.performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
  }});
}});
</script>"""
GREEDY = '<!DOCTYPE html><img src="http://elsewhere.invalid/x.png"><details><div style="width: 2000px">wide</div></details>'

pytestmark = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason="Chromium is missing: `apt-get install chromium` to look at the report in a browser."
)


@dataclass
class Site:
    """Pages on loopback, and a proxy that answers nothing, so that the browser reaches nobody else.

    `asked` holds what its pages asked for. What Chromium asks for on its own account names no page as its reason.
    """

    address: str
    pages: dict[str, str]
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "Referer" in self.headers:
                found.asked.append(self.path)
            page = found.pages.get(self.path)
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page or "").encode())

        do_CONNECT = do_GET  # noqa: N815 - the name is the protocol's

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        found = Site(f"http://127.0.0.1:{server.server_port}", {})
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def measured(site: Site, page: str, width: int, profile: Path) -> dict[str, Any]:
    """What the browser says of `page` in a frame of `width` pixels."""
    site.pages |= {"/page": page, "/frame": MEASURE.format(path="/page", width=width)}
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", f"--proxy-server={site.address}", "--dump-dom"]
    browser = subprocess.run([*command, f"{site.address}/frame"], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r'data-found="([^"]*)"', browser.stdout)
    assert found, browser.stderr
    return dict(json.loads(html.unescape(found[1])))


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_the_report_fits_its_window_and_loads_nothing(site: Site, tmp_path: Path, width: int) -> None:
    page = web.render(fakes.story())

    found = measured(site, page, width, tmp_path)

    assert found["folds"] >= 6
    assert found["wanted"] <= found["given"]
    assert found["loaded"] == []
    assert site.asked == ["/page"]


def test_words_that_are_too_long_for_a_phone_are_broken(site: Site, tmp_path: Path) -> None:
    story, word = fakes.story(), "x" * 150
    verdicts = tuple(replace(verdict, subject=word, reason=word, evidence={word: word}) for verdict in story.verdicts)
    ingests = tuple(replace(ingest, source=word, quarantined={word: 1}) for ingest in story.ingests)
    steps = ((word, word, 1.0),)
    bad = (Exhibit(word, 1, (BadRow(word, word, None, 9, word.encode()),)),)

    page = web.render(replace(story, champion=word, verdicts=verdicts, ingests=ingests, report_steps=steps, quarantine=bad))
    found = measured(site, page, 390, tmp_path)

    assert found["wanted"] <= found["given"]


def test_a_page_that_is_too_wide_and_loads_something_would_be_noticed(site: Site, tmp_path: Path) -> None:
    found = measured(site, GREEDY, 390, tmp_path)

    assert found["wanted"] > found["given"]
    assert found["loaded"] == ["http://elsewhere.invalid/x.png"]
    assert site.asked == ["/page", "http://elsewhere.invalid/x.png"]
