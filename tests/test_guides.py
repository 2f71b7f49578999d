"""The pages of docs/ say what is true: every block runs, and prints and draws what stands below it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_scripts import script

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [DOCS / "index.md", *sorted((DOCS / "guides").glob("*.md"))]
RECIPES = sorted((DOCS / "cookbook").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_runs_and_prints_what_it_shows(page: Path) -> None:
    command = [sys.executable, "-W", "error", "scripts/guides.py", "--check", page.stem]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")  # of torch.onnx's own
@pytest.mark.parametrize("page", RECIPES, ids=[page.stem for page in RECIPES])
def test_a_recipe_runs_and_prints_what_it_shows(page: Path) -> None:
    assert script("guides").fault(page) == ""


def test_a_recipe_is_one_task_of_at_most_forty_lines() -> None:
    assert len(RECIPES) >= 30
    for page in RECIPES:
        title, told, *_ = page.read_text(encoding="utf-8").split("\n\n")
        assert title.startswith("# ") and told.endswith("."), page.name
        blocks = script("guides").BLOCK.findall(page.read_text(encoding="utf-8"))
        lines = [line for _, code in blocks for line in code.splitlines() if line.strip()]
        assert 0 < len(lines) <= 40, f"{page.name} has {len(lines)} lines"


def test_what_a_page_does_not_print_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", encoding="utf-8")
    assert "-3\n+2\n" in script("guides").fault(page)


def test_a_picture_that_the_page_would_draw_otherwise_is_found(tmp_path: Path) -> None:
    page, drawn = tmp_path / "page.md", "<svg><text>{}</text></svg>"
    code = f"from pathlib import Path\n_ = Path('a.svg').write_text({drawn.format('new')!r})\n"
    page.write_text(f"# Page\n\n```python\n{code}```\n\n![A picture](a.svg)\n", encoding="utf-8")
    (tmp_path / "a.svg").write_text(drawn.format("old"), encoding="utf-8")
    assert script("guides").fault(page) == f"{tmp_path / 'a.svg'} has other words than the picture made now\n"
    (tmp_path / "a.svg").write_text(drawn.format("new"), encoding="utf-8")
    assert script("guides").fault(page) == ""


def test_the_pages_cover_what_the_guides_of_keras_cover() -> None:
    assert {page.stem for page in PAGES} >= set(
        "callbacks functional masking own_layers own_loops own_steps preprocessing recurrent saving sequential training "
        "transfer".split()
    )
