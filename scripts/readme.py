"""Writes into the README what it shows of the toy ResNet: its forward, and the file by which it leaves."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from torchfunc import interop

ROOT = Path(__file__).resolve().parent.parent


def shown() -> dict[str, str]:
    """What stands after each `<!-- ... -->` of the README that a script fills."""
    model = runpy.run_path(str(ROOT / "examples" / "resnet_cifar.py"))["toy_resnet"]()
    return {"code of the toy ResNet": model.code, "source of the toy ResNet": interop.to_source(model)}


def written(text: str) -> str:
    """The README with these blocks as they are now."""
    for name, code in shown().items():
        block = re.compile(rf"(<!-- {name} -->\n```python\n).*?(```\n<!-- end)", re.DOTALL)
        assert block.search(text), f"README.md has no block <!-- {name} -->"
        text = block.sub(lambda found, code=code: found[1] + code + found[2], text)
    return text


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
