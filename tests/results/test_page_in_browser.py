"""The report in a real browser: it opens without a network, draws, and copies a trial's id."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from kdsearch.results.page import write_report
from kdsearch.results.page.page import page_text
from kdsearch.results.page.searches import read_searches
from tests.results.pages import Browser, browser, figures_in, search

pytest.importorskip("plotly")
__all__ = ["browser"]  # the fixture

# The clipboard answers from another process: the page waits in real time, posts what it heard.
CLICK = """<!doctype html><iframe id="page" src="report.html" width="1300" height="900"></iframe>
<script>
const until = (seen) => new Promise((done) => {
  const look = () => (seen() ? done(seen()) : setTimeout(look, 20));
  look();
});
onload = async () => {
  const page = document.getElementById("page").contentDocument;
  const button = await until(() => page.querySelector("button.id"));
  const chart = await until(() => page.querySelector("#front-parameters.js-plotly-plot"));
  const said = page.getElementById("said");
  const heard = [];
  const hear = async (id) => {
    await until(() => said.textContent.includes(id));
    heard.push(said.textContent, said.className);
  };
  button.click();
  await hear(button.dataset.id);
  chart.emit("plotly_click", {points: [{customdata: "00007"}]});
  await hear("00007");
  fetch("/heard", {method: "POST", body: heard.join("|")});
};
</script>"""


@pytest.mark.parametrize("width", [1400, 500])
def test_every_chart_is_drawn_without_network_and_complaint(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    page = write_report([search(tmp_path / "made", 20)])[0]
    dom, said = browser.open(page.as_uri(), width)
    assert not said
    charts = figures_in(page.read_text())
    assert dom.count('class="chart js-plotly-plot"') == len(charts)
    assert dom.count('class="main-svg"') >= len(charts)
    for name in charts:
        _, _, chart = dom.partition(f'id="{name}"')
        chart = chart.partition('<div class="chart')[0]
        assert 'class="main-svg"' in chart
        if name == "front-parameters":
            assert len(re.findall('class="point[ "]', chart)) == 20  # one a trial


def test_markup_in_names_does_not_run(browser: Browser, tmp_path: Path) -> None:
    evil = (
        "</script><script>document.title='ran'</script><img src=x onerror=\"document.title='r'\">"
    )
    holes = {"training.lr": 0.1, "losses[1]": evil, "losses[1].at.weight": 1.0}
    folder = search(tmp_path / "<img src=x onerror=alert(1)>", assignment=holes, proposer=evil)
    page = tmp_path / "page.html"
    page.write_text(page_text(read_searches([folder])))
    dom, said = browser.open(page.as_uri())
    assert not said
    assert "<title>&lt;img src=x onerror=alert(1)&gt;" in dom
    body = dom.partition("<body>")[2].partition("<script")[0]
    assert "<img" not in body and "main-svg" in body


def test_a_click_copies_the_trial_and_says_so(browser: Browser, tmp_path: Path) -> None:
    folder = search(tmp_path / "made")
    first = read_searches([folder])[0].front["trial_id"].iloc[0]
    write_report([folder])
    (folder / "click.html").write_text(CLICK)
    heard: Queue[str] = Queue()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, heard, folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with browser.opened(f"http://127.0.0.1:{server.server_port}/click.html"):
            one, shown, two, still = heard.get(timeout=60).split("|")
        server.shutdown()
    assert first in one and "00007" in two and shown == still == "on"


class _Silent(SimpleHTTPRequestHandler):
    """A folder on the loopback; what is posted to it is put into a queue."""

    def __init__(self, heard: Queue[str], folder: Path, *given: Any) -> None:
        self.heard = heard
        super().__init__(*given, directory=str(folder))

    def do_POST(self) -> None:
        self.heard.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
