"""Writes below each block of code on the pages of docs/ what it prints, and beside the page the pictures it draws.

python scripts/guides.py           runs every page and writes it anew
python scripts/guides.py masking   runs that page alone
python scripts/guides.py --check   writes nothing, and tells which pages do not say what their code does

A page is one program: its blocks run in order, in a folder of their own. A picture on the
page is a file that they write there.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torchfunc as tf

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"(```python\n(.*?)```\n)(?:\n```text\n.*?```\n)?", flags=re.DOTALL)


PICTURE = re.compile(r"!\[[^]]*]\(([\w.-]+\.svg)\)")


def pages() -> list[Path]:
    """The pages with code: the start, the guides and the cookbook."""
    return [
        DOCS / "index.md",
        *sorted((DOCS / "guides").glob("*.md")),
        *sorted((DOCS / "cookbook").glob("*.md")),
    ]


def written(page: Path) -> tuple[str, dict[str, str]]:
    """The page with the output of each block below it, and its pictures; what a block raises is raised."""
    names: dict[str, Any] = {"__name__": page.stem}

    def told(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block[2], page.name, "exec"), names)
        return block[1] + (f"\n```text\n{printed.getvalue()}```\n" if printed.getvalue() else "")

    tf.utils.set_random_seed(0)
    with elsewhere():
        text = BLOCK.sub(told, page.read_text(encoding="utf-8"))
        return text, {name: Path(name).read_text(encoding="utf-8") for name in PICTURE.findall(text)}


def fault(page: Path) -> str:
    """What on a page its code does not make, or nothing. Of a picture its words count: programs draw lines differently."""
    before = page.read_text(encoding="utf-8")
    after, pictures = written(page)
    if before != after:
        return "".join(
            difflib.unified_diff(before.splitlines(True), after.splitlines(True), str(page), "made now")
        )
    for name, picture in pictures.items():
        if words(page.with_name(name).read_text(encoding="utf-8")) != words(picture):
            return f"{page.with_name(name)} has other words than the picture made now\n"
    return ""


def words(picture: str) -> list[str]:
    return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", picture))


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
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and fail if a page is not what it makes"
    )
    options = parser.parse_args()
    chosen = [page for page in pages() if not options.names or page.stem in options.names]
    if options.check:
        sys.exit("".join(map(fault, chosen)) or None)
    for page in chosen:
        text, pictures = written(page)
        page.write_text(text, encoding="utf-8")
        for name, picture in pictures.items():
            page.with_name(name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
