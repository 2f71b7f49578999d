"""The public names of Keras 3.15.1, and which of them torchfunc has.

    python -m tests.keras_names  # takes what was built out of tests/golden/keras_missing.txt, and writes docs/absent.md

`tests/golden/keras_names.txt` was made once from an installed Keras: every public name of `keras` and of its namespaces.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torchfunc
from torchfunc.absent import TABLE

ROOT = Path(__file__).parent
NAMES = (ROOT / "golden" / "keras_names.txt").read_text(encoding="utf-8").split()
MISSING = ROOT / "golden" / "keras_missing.txt"
PAGE = ROOT.parent / "docs" / "absent.md"

HEAD = """# What Keras has and torchfunc leaves out

Asking for one of these names says what is to be used instead. Every other public name of Keras 3.15.1 stands under the
same name in `torchfunc`, or waits in `tests/golden/keras_missing.txt`. `python -m tests.keras_names` writes this page
from the table in `torchfunc/absent.py`.

| name | instead |
|---|---|
"""


def ours(name: str) -> str:
    return "torchfunc" + name.removeprefix("keras")


def resolves(name: str) -> bool:
    value: Any = torchfunc
    try:
        for part in name.split(".")[1:]:
            value = getattr(value, part)
    except AttributeError:
        return False
    return True


def left_out() -> dict[str, str]:
    """What falls out on purpose, by the names of Keras, with what serves instead; a namespace with all that is in it."""
    table = {f"{place}.{name}": why for place, names in TABLE.items() for name, why in names.items()}
    found: dict[str, str | None] = {}
    for name in NAMES:
        parts = ours(name).split(".")
        above = (".".join(parts[:end]) for end in range(2, len(parts) + 1))
        found[name] = next((table[each] for each in above if each in table), None)
    return {name: why for name, why in found.items() if why is not None}


def missing() -> list[str]:
    """What is neither here nor left out."""
    return [name for name in NAMES if not resolves(name) and name not in left_out()]


def page() -> str:
    rows = [
        f"| `{place}.{name}` | {why} |\n" for place, names in TABLE.items() for name, why in names.items()
    ]
    return HEAD + "".join(sorted(rows))


if __name__ == "__main__":
    MISSING.write_text("".join(f"{name}\n" for name in missing()), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
