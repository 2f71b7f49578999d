"""The site is built without a warning, every link in it leads somewhere, and every public name stands in it once."""

from __future__ import annotations

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tests import public_names

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as for publishing; what the theme says of its own future is no warning of ours."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


class Links(HTMLParser):
    """What a page points to, and the places in it that can be pointed to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.targets |= {named[key] or "" for key in ("href", "src") if named.get(key)}
        self.places |= {named["id"] or ""} if "id" in named else set()


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    assert len(pages) > 50
    for page, links in pages.items():
        for target in links.targets:
            address, place = urldefrag(target)
            if re.match(r"[a-z]+:", address):
                continue
            goal = (page.parent / unquote(address)).resolve() if address else page
            goal = goal / "index.html" if goal.is_dir() else goal
            assert goal.exists(), f"{page.relative_to(site)} links to {target}"
            if place and goal in pages:
                known = pages[goal].places
                assert place in known or place == "__skip", f"{page.relative_to(site)} links to {target}"


def test_no_page_asks_another_machine_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|img|link rel=\"(?:stylesheet|preload)\")[^>]*https?://", text), page


def test_every_public_name_stands_in_the_reference(site: Path) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").rglob("*.html"))
    shown = set(re.findall(r'id="(torchfunc\.[\w.]+)"', text)) | set(
        re.findall(r"<code>(torchfunc\.[\w.]+)", text)
    )
    objects = [public_names.resolve(name) for name in shown]
    # a bound method is made anew whenever it is asked for
    known = {id(getattr(value, "__func__", value)) for value in objects}
    missing = [
        place
        for place in (line.split("(")[0] for line in public_names.listing())
        if public_names.is_ours(value := public_names.resolve(place))
        and id(getattr(value, "__func__", value)) not in known
    ]
    assert missing == []


def test_an_example_stands_as_code(site: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (site / "reference").rglob("*.html")]
    assert sum(text.count('<span class="gp">&gt;&gt;&gt; </span>') for text in pages) > 300
    assert not any("<blockquote>" in text for text in pages)


def test_each_argument_has_a_row_and_what_is_returned_has_one(site: Path) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").rglob("*.html"))
    names = re.findall(r'<tr class="doc-section-item">\s*<td>\s*<code>([^<]+)</code>', text)
    assert len(names) > 1000 and not [name for name in names if re.search(r",\s", name)]
    returned = re.findall(r"Returns:</span></p>\s*<table>(.*?)</table>", text, flags=re.DOTALL)
    assert len(returned) > 500 and {table.count("doc-section-item") for table in returned} == {1}


def test_what_is_said_elsewhere_is_said_in_each_place(site: Path) -> None:
    text = (site / "reference" / "torchfunc.layers" / "index.html").read_text(encoding="utf-8")
    assert "as for every Layer" not in text and "as for Dense.</p>" not in text and "Unpack[" not in text
    (row,) = re.findall(
        r"<code>input_shape</code>.*?</tr>", text.partition('layers.GRU"')[2], flags=re.DOTALL
    )[:1]
    assert "the shape of one sample" in row and "required" not in row


def test_a_method_that_a_call_made_stands_as_one_that_is_written(site: Path) -> None:
    text = (site / "reference" / "torchfunc.models" / "index.html").read_text(encoding="utf-8")
    fit = text.partition('id="torchfunc.models.Model.fit"')[2].partition(
        'id="torchfunc.models.Model.evaluate"'
    )[0]
    assert "as_in(" not in text and fit.count("doc-section-item") > 20 and "<code>epochs</code>" in fit


def test_what_stands_in_no_file_under_its_name_is_told_as_everything_else(site: Path) -> None:
    for page, name in (
        ("applications", "applications.resnet.ResNet50"),
        ("datasets", "datasets.imdb.load_data"),
    ):
        text = (site / "reference" / f"torchfunc.{page}" / "index.html").read_text(encoding="utf-8")
        entry = text.partition(f'<h2 id="torchfunc.{name}"')[2].partition("<h2 ")[0]
        titles = re.findall(r"<strong>(\w+):</strong>", entry)
        assert titles[:3] == ["Parameters", "Returns", "Raises"] and "The same as" not in entry
        assert "Args:" not in text and f'href="#torchfunc.{name}"' in text


def test_the_house_is_drawn_with_every_room(site: Path) -> None:
    picture = (site / "house.svg").read_text(encoding="utf-8")
    rooms = {path.stem for path in (ROOT / "torchfunc").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {word.split()[0] for word in re.findall(r"<text[^>]*>([^<]+)<", picture)} == rooms - {
        "__pycache__"
    }


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site as a server gives it: its search works in a worker, which a browser starts for no file."""
    serve = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """The requests of a test are no news."""


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Dense", "reference/torchfunc.layers/#torchfunc.layers.Dense"),
        ("EarlyStopping", "reference/torchfunc.callbacks/#torchfunc.callbacks.EarlyStopping"),
        ("save", "reference/torchfunc.models/#torchfunc.models.save_model"),
        ("load_model", "guides/saving/"),
    ],
)
def test_who_searches_finds(asked: str, found: str, address: str, browser: Any) -> None:
    def links() -> set[str]:
        """Where the first five pages of the result lead to, as far as they are drawn."""
        every: list[str] = browser.execute_script(
            "return [...document.querySelectorAll('.md-search-result__item')].slice(0, 5)"
            ".flatMap(item => [...item.querySelectorAll('a')].map(link => link.href))"
        )
        return {re.sub(r"\?[^#]*", "", link.removeprefix(address)) for link in every}

    browser.get(f"{address}?q={asked}")
    WebDriverWait(browser, 30).until(lambda _: found in links(), message=f"{found} is not among the results")
