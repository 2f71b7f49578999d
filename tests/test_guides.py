"""The pages of docs/guides say what is true: every block runs, and prints what stands below it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "guides").glob("*.md"))
RUN = (
    "import sys, pathlib; sys.path.insert(0, 'scripts'); import guides; "
    "print(guides.written(pathlib.Path(sys.argv[1])), end='')"
)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_runs_and_prints_what_it_shows(page: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", RUN, str(page)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == page.read_text(encoding="utf-8")


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([\w./-]+\.md)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_pages_cover_what_the_guides_of_keras_cover() -> None:
    assert {page.stem for page in PAGES} >= set(
        "callbacks functional masking own_layers own_loops own_steps preprocessing recurrent saving sequential training "
        "transfer".split()
    )
