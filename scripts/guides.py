"""Writes below each block of code in docs/guides what it prints.

python scripts/guides.py           runs every page and writes it anew
python scripts/guides.py masking   runs that page alone

A page is one program: its blocks run in order, in a folder of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torchfunc as tf

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "guides"
BLOCK = re.compile(r"(```python\n(.*?)```\n)(?:\n```text\n.*?```\n)?", flags=re.DOTALL)


def pages() -> list[Path]:
    return sorted(FOLDER.glob("*.md"))


def written(page: Path) -> str:
    """The page with the output of each block below it; what a block raises is raised."""
    names: dict[str, Any] = {"__name__": page.stem}

    def told(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[2], page.name, "exec"), names)
        return block[1] + (f"\n```text\n{printed.getvalue()}```\n" if printed.getvalue() else "")

    tf.utils.set_random_seed(0)
    with elsewhere():
        return BLOCK.sub(told, page.read_text(encoding="utf-8"))


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """A folder of its own to work in."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(home)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", help="of pages; all if none is given")
    names = parser.parse_args().names
    for page in pages():
        if not names or page.stem in names:
            page.write_text(written(page), encoding="utf-8")


if __name__ == "__main__":
    main()
