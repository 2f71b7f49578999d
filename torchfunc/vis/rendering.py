"""Rendering: DOT text given to a program of Graphviz, and the picture that it draws.

Graphviz's own `dot` draws where it is installed. Elsewhere `graphviz-pure` does, a port of it in one file that
pip installs: it brings the font Arimo, as wide as Arial, so that texts fit their boxes on every machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator

from torchfunc.errors import TorchfuncError

PORTED = ("png", "svg", "jpg")
PATIENCE = 4  # seconds


def rendered(text: str, kind: str, *, plainer: str | None = None) -> bytes:
    """What Graphviz draws, as the content of a file.

    Args:
        text: a graph in DOT.
        kind: png, svg, jpg, pdf or gif.
        plainer: the same graph with less asked of its lines, which is drawn where the other takes too long.

    Raises:
        TorchfuncError: no program that draws this kind is installed, or it fails.
    """
    program = next(_programs(kind), None)
    if program is None:
        raise TorchfuncError(
            f"Drawing a {kind} needs Graphviz's program 'dot', which is not on the PATH. Install it with: "
            "apt-get install graphviz (Debian, Ubuntu), brew install graphviz (macOS), or from "
            f"https://graphviz.org/download. {_instead(kind)}"
        )
    try:
        patience = None if plainer is None else PATIENCE
        done = _run(program, text, kind, patience)
    except subprocess.TimeoutExpired:
        done = _run(program, plainer or text, kind, None)
    if done.returncode or not done.stdout:
        raise TorchfuncError(f"{program} -T{kind} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _run(program: str, text: str, kind: str, seconds: float | None) -> subprocess.CompletedProcess[bytes]:
    command = [program, f"-T{kind}"]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=False, timeout=seconds)


def _programs(kind: str) -> Iterator[str]:
    """The programs that draw a kind of picture, the best one first."""
    # a virtual environment that is not activated is not on the PATH, and has the program all the same
    ported = ("graphviz-pure", sysconfig.get_path("scripts")), ("graphviz-pure", None)
    for name, folder in (("dot", None), *(ported if kind in PORTED else ())):
        found = shutil.which(name, path=folder)
        if found is not None:
            yield found


def _instead(kind: str) -> str:
    if kind in PORTED:
        return "Or: pip install graphviz-pure. A file with the ending .dot needs neither."
    return "Without it these are drawn: png, svg, jpg, and dot as text."
