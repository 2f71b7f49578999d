"""The site is built without a warning, every link in it leads somewhere, and every public name stands in it once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

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


def test_the_house_is_drawn_with_every_room(site: Path) -> None:
    picture = (site / "house.svg").read_text(encoding="utf-8")
    rooms = {path.stem for path in (ROOT / "torchfunc").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {word.split()[0] for word in re.findall(r"<text[^>]*>([^<]+)<", picture)} == rooms - {
        "__pycache__"
    }
