"""Writes what was measured, docs/benchmarks.json, as the page docs/benchmarks.md and as the table in the README.

python scripts/bench.py race                 measures, and writes both
python scripts/benchmarks_page.py            writes both
python scripts/benchmarks_page.py --check    writes nothing, and fails where one says something else
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# The README's rows, in their order: workload and figure.
HEADLINE = (
    ("mlp", "an epoch"),
    ("resnet", "an epoch"),
    ("tickets", "an epoch"),
    ("autoencoder", "an epoch"),
    ("chain", "forward"),
    ("chain", "train_on_batch"),
    ("import", "import"),
)
SPOKEN = {
    "torch": "PyTorch by hand",
    "torch-dataloader": "by hand, DataLoader",
    "keras-torch": "Keras on torch",
    "keras-jax": "Keras on JAX",
    "keras-tensorflow": "Keras on TensorFlow",
    "lightning": "Lightning",
    "poutyne": "Poutyne",
}
MARK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- end of the benchmarks -->)", flags=re.DOTALL)
MEANING = "A figure is torchfunc's share of the other's time (of memory, where that is said): below 1, torchfunc needs less."

Row = dict[str, Any]


def page(measured: dict[str, Any]) -> str:
    """All rows, a table for each workload."""
    counts = sorted({row["rounds"] for row in measured["rows"]})
    rounds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else counts[0]
    text = [
        "# Benchmarks",
        f"{MEANING} It is the median of {rounds} rounds, all contenders in turn, beside the least and the greatest.",
        told(measured),
        "Measure on your machine before you decide anything by it: `python scripts/bench.py race` races all contenders that "
        "are installed, each workload, contender and round in a process of its own, stops where their losses at the end "
        "differ, keeps the numbers in `docs/benchmarks.json` and writes this page. `race mlp --against torch --rounds 5` is "
        "less of it, and `--python keras-jax=PATH` names the interpreter of one that has libraries of its own.",
    ]
    for name in dict.fromkeys(row["workload"] for row in measured["rows"]):
        lines = ["| what | against | share | range |", "|---|---|---|---|"]
        for row in measured["rows"]:
            if row["workload"] == name:
                lines.append(f"| {row['what']} | {spoken(row['against'])} | {share(row)} | {span(row)} |")
        head = title(measured, name)
        text += [f"## {head[0].upper()}{head[1:]}", "\n".join(lines)]
    return "\n\n".join(text) + "\n"


def block(measured: dict[str, Any]) -> str:
    """The README's table: a row for each figure that many ask about, a column for each contender."""
    shares = {(row["workload"], row["what"], row["against"]): share(row) for row in measured["rows"]}
    rows = [each for each in HEADLINE if any(key[:2] == each for key in shares)]
    others = list(dict.fromkeys(key[2] for key in shares if key[:2] in rows))
    if not rows:
        wanted = ", ".join(dict.fromkeys(workload for workload, _ in HEADLINE))
        raise SystemExit(f"benchmarks_page.py: docs/benchmarks.json has none of {wanted}. Fix: measure one.")
    lines = ["| | " + " | ".join(map(spoken, others)) + " |", "|---" * (len(others) + 1) + "|"]
    for workload, what in rows:
        figures = " | ".join(shares.get((workload, what, other), "") for other in others)
        name = title(measured, workload)
        lines.append(f"| {name if what == workload else f'{name}: {what}'} | {figures} |")
    table = "\n".join(lines)
    return f"{MEANING}\n{told(measured)} Every row, with its range: [docs/benchmarks.md](docs/benchmarks.md).\n\n{table}\n"


def told(measured: dict[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {version}" for name, version in measured["versions"].items() if version[0].isdigit()
    )
    return f"Measured on {measured['date']} on {measured['machine']}, with {versions}."


def title(measured: dict[str, Any], workload: str) -> str:
    """What a workload is, without the number that it has in a list."""
    return re.sub(r"^W\d+, ", "", str(measured.get("workloads", {}).get(workload, workload)))


def spoken(contender: str) -> str:
    return SPOKEN.get(contender, contender)


def share(row: Row) -> str:
    return f"**{figure(row['ratio'])}**" if row["ratio"] < 1 else figure(row["ratio"])


def span(row: Row) -> str:
    return f"{figure(row['low'])} to {figure(row['high'])}"


def figure(ratio: float) -> str:
    """Two places, and of small ones the first digit that is not 0."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and fail where something else stands"
    )
    bring_up(check=parser.parse_args().check)


def bring_up(*, check: bool = False) -> None:
    """Write what differs from what is measured, or say what it is."""
    measured = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if len(MARK.findall(readme)) != 1:
        raise SystemExit(
            "benchmarks_page.py: README.md wants the marks 'benchmarks' and 'end of the benchmarks' once."
        )
    made = {
        "docs/benchmarks.md": page(measured),
        "README.md": MARK.sub(lambda found: found[1] + block(measured) + found[2], readme),
    }
    stale = [
        name
        for name, text in made.items()
        if not (path := ROOT / name).exists() or path.read_text(encoding="utf-8") != text
    ]
    if check and stale:
        sys.exit(
            f"{' and '.join(stale)} say other figures than docs/benchmarks.json. Fix: python scripts/benchmarks_page.py"
        )
    for name in stale:
        (ROOT / name).write_text(made[name], encoding="utf-8")


if __name__ == "__main__":
    main()
