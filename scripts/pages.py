"""Makes the pages of the site that are not written by hand: the reference, the house, the changelog.

`mkdocs build --strict` calls the functions that begin with `on_`, as mkdocs.yml says. Nothing they make is kept in docs/.
"""

from __future__ import annotations

import functools
import html
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import house  # noqa: E402
from griffe_examples import one_a_row, titled  # noqa: E402

from tests import public_names  # noqa: E402

SPLIT = ("torchfunc.ops",)  # namespaces whose folders have a page of their own
TAKEN = {"changelog.md": "CHANGELOG.md", "security.md": "SECURITY.md", "contributing.md": "CONTRIBUTING.md"}
MOVED = {"docs/": "", "SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The pages that are many stand in the navigation by their names."""
    for folder, names in (
        ("cookbook", [page.stem for page in recipes()]),
        ("reference", sorted(reference())),
    ):
        (listed,) = (each[folder.capitalize()] for each in config.nav or [] if folder.capitalize() in each)
        listed += [f"{folder}/{name}.md" for name in names if name != "index"]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {f"reference/{name}.md": text for name, text in reference().items()}
    made |= {page: moved((ROOT / name).read_text(encoding="utf-8")) for page, name in TAKEN.items()}
    made["house.svg"] = drawn(ROOT)
    made["cookbook/index.md"] = contents()
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Who searches finds what is told about a thing before the lists in which it stands."""
    for part, boost in (("guides/", 2), ("applications", 0.1)):
        if part in page.file.src_uri:
            page.meta["search"] = {"boost": boost}


def moved(text: str) -> str:
    """A page of the top folder, with its links as they are in docs/."""
    for before, after in MOVED.items():
        text = text.replace(f"]({before}", f"]({after}")
    return text


def recipes() -> list[Path]:
    return sorted((ROOT / "docs" / "cookbook").glob("*.md"))


def contents() -> str:
    """The cookbook's list: each page by its title and its first sentence."""
    rows = []
    for page in recipes():
        title, told = page.read_text(encoding="utf-8").split("\n\n")[:2]
        rows.append(f"- [{title.removeprefix('# ')}]({page.name}): {' '.join(told.split())}")
    head = "One task a page, in at most 40 lines that run as they stand, in two seconds, on data made on the spot."
    return f"# Cookbook\n\n{head}\n\n" + "\n".join(rows) + "\n"


@functools.cache
def reference() -> dict[str, str]:
    """A page a namespace, by its name; each object stands on one page, under the first of its names."""
    modules = dict(namespaces("torchfunc", public_names.torchfunc))
    modules |= {room: public_names.resolve(room) for room in ("torchfunc.training", "torchfunc.vis")}
    # A split namespace hands on the names of its folders, which therefore come first.
    places = sorted(modules, key=lambda place: (place == "torchfunc", -place.count("."), place))
    named = [(place, name) for place in places for name in public_names.names_of(modules[place])]
    # A second name, as KerasTensor is, comes after the name that the object gives itself.
    named.sort(key=lambda each: getattr(getattr(modules[each[0]], each[1]), "__name__", each[1]) != each[1])
    pages: dict[str, list[str]] = {page_of(place): [] for place in places}
    shown: set[int] = set()
    for place, name in named:
        value = getattr(modules[place], name)
        if not isinstance(value, ModuleType) and public_names.is_ours(value) and id(value) not in shown:
            shown.add(id(value))
            pages[page_of(place)].append(entry(f"{place}.{name}", value))
    rows = [f"- [`{page}`]({page}.md): {sentence(modules[page])}" for page in sorted(pages)]
    made = {page: f"# {page}\n\n{sentence(modules[page])}\n\n" + "\n".join(pages[page]) for page in pages}
    made["index"] = "# Reference\n\nEvery public name, by namespace.\n\n" + "\n".join(rows) + "\n"
    return made


def namespaces(place: str, module: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    yield place, module
    for name in public_names.names_of(module):
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            yield from namespaces(f"{place}.{name}", value)


def page_of(place: str) -> str:
    parts = place.split(".")
    return ".".join(parts[: 3 if place.startswith(SPLIT) else 2])


def sentence(module: ModuleType) -> str:
    return (module.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def entry(place: str, value: Any) -> str:
    """What mkdocstrings is asked for: the object, and of a class that users call or derive from its methods."""
    named = getattr(value, "__name__", place)
    if not hasattr(value, "__name__"):
        return f"## `{place}`\n\nThe same as `{named}`.\n"
    methods = methods_of(place) if value in LONG else []
    shown = f"inherited_members: true\n      show_if_no_docstring: true\n      members: {methods}"
    options = f"\n    options:\n      {shown}\n" if methods else "\n"
    if named != place.rsplit(".", 1)[1] or (not isinstance(value, type) and not inspect.isfunction(value)):
        name = place.rsplit(".", 1)[1]
        call = broken(f"{name}{public_names.shown(value)}")
        head = f'## {place} {{ #{place} data-toc-label="{name}" }}'
        return f"{head}\n\n```python\n{call}\n```\n\n{told(value.__doc__ or '')}\n"
    return f"::: {place}{options}\nSource: `{source(value)}`\n"


def broken(call: str) -> str:
    """A call as text, an argument a line where one line is too long."""
    if len(call) <= 80:
        return call
    name, _, inside = call.removesuffix(")").partition("(")
    arguments = re.split(r", (?=\*|[a-z_]\w*(?:=|,|$))", inside)
    return "\n".join([f"{name}(", *(f"    {each}," for each in arguments), ")"])


def told(text: str) -> str:
    """A docstring with tables, as mkdocstrings makes them, of an object that stands in no file under its name."""
    text = inspect.cleandoc(text)
    titles = re.search(r"^ +(?=\w+:\n)", text, flags=re.MULTILINE)
    if titles:  # sections that were put into the text are indented as where they came from
        text = re.sub(f"^{titles[0]}", "", text, flags=re.MULTILINE)
    text = one_a_row(titled(text))
    sections = griffe.Docstring(text).parse("google", warnings=False, returns_multiple_items=False)
    return "\n\n".join(map(written, sections))


def written(section: griffe.DocstringSection) -> str:
    """A part of a docstring in Markdown."""
    value: Any = section.value
    if section.kind is griffe.DocstringSectionKind.text:
        return str(value)
    if section.kind is griffe.DocstringSectionKind.examples:
        return "**Examples:**\n\n```pycon\n" + "\n".join(text for _, text in value) + "\n```"
    title = f"**{section.kind.value.capitalize()}:**\n\n"
    if section.kind is griffe.DocstringSectionKind.returns:
        return title + value[0].description
    names = [getattr(each, "name", None) or each.annotation for each in value]
    rows = [
        f"| `{name}` | {' '.join(each.description.split())} |"
        for name, each in zip(names, value, strict=True)
    ]
    return f"{title}| Name | Description |\n|---|---|\n" + "\n".join(rows)


def source(value: Any) -> str:
    """The file and the line where an object stands."""
    value = inspect.unwrap(value)
    return f"{Path(inspect.getfile(value)).relative_to(ROOT)}, line {inspect.getsourcelines(value)[1]}"


LONG = [public_names.resolve(f"torchfunc.{name}") for name in public_names.BASES]


def methods_of(place: str) -> list[str]:
    return [line.split("(")[0].rsplit(".", 1)[1] for line in public_names.methods_of(place)]


def drawn(root: Path) -> str:
    """The house as SVG, as scripts/house.py reads it: a floor above every floor that its rooms import from."""
    files = house.read(root)
    known = {file.path for file in files}
    below: dict[str, set[str]] = {}
    lines: dict[str, int] = {}
    for file in files:
        room = house.room(file.path, Path())
        lines[room] = lines.get(room, 0) + file.lines
        targets = {house.room(target, Path()) for target in house.imported(file.tree, known)}
        below.setdefault(room, set()).update(targets - {room, "__init__"})
    floors: dict[str, int] = {}
    while len(floors) < len(below):
        standing = [room for room in below if room not in floors and below[room] <= floors.keys()]
        if not standing:
            raise SystemExit(
                f"pages.py: {sorted(below.keys() - floors.keys())} import each other in a circle."
            )
        for room in standing:
            floors[room] = 1 + max((floors[each] for each in below[room]), default=-1)
    return picture(floors, lines)


def picture(floors: dict[str, int], lines: dict[str, int]) -> str:
    """One row of boxes a floor, the ground below; the darker, the more lines a room has."""
    top, width, most = max(floors.values()), 1000, max(lines.values())
    boxes = []
    for floor in range(top + 1):
        rooms = sorted(room for room, at in floors.items() if at == floor)
        step = width / len(rooms)
        for index, room in enumerate(rooms):
            x, y = index * step, (top - floor) * 44
            size = f'x="{x + 3:.0f}" y="{y + 3}" width="{step - 6:.0f}" height="38" rx="4"'
            shade = 0.12 + 0.6 * (lines[room] / most) ** 0.5
            label = f"{room} {lines[room]:,}" if step > 90 else room
            boxes.append(f'<rect {size} fill="#ff7043" fill-opacity="{shade:.2f}"/>')
            boxes.append(f'<text x="{x + step / 2:.0f}" y="{y + 27}">{html.escape(label)}</text>')
    style = "text{font:13px sans-serif;text-anchor:middle;fill:#222}rect{stroke:#bf360c}"
    height = (top + 1) * 44
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return re.sub(r"\s*\n", "\n", "\n".join([head, f"<style>{style}</style>", *boxes, "</svg>\n"]))
