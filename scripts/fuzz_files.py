"""Load changed files by the million, many more than the tests do: `python scripts/fuzz_files.py --count 1000000`.

Prints how many were loaded and how many refused, and each distinct failure with the first seed that shows it. One
seed, told in full: `python scripts/fuzz_files.py --replay 1234`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from tests.saving import mutations

CHUNK = 2000
MEMORY_DISK = Path("/dev/shm")


def surveyed(root: str, seeds: range) -> mutations.Survey:
    """What comes of some seeds, in a folder of their own."""
    with TemporaryDirectory(dir=root) as folder:
        return mutations.survey(seeds, Path(folder))


def replayed(seed: int) -> None:
    """Print what a seed changes and how loading it ends; the file stays beside."""
    case = mutations.mutation(seed)
    folder = Path.cwd() / f"mutation_{seed}"
    folder.mkdir(exist_ok=True)
    print(f"{case.kind} by {case.door}, {len(case.data):,} bytes in {folder}:", *case.what, sep="\n  ")
    print(mutations.survey([seed], folder))
    (folder / "case.safetensors").write_bytes(case.data)
    try:
        mutations.attempt(case, folder)
    except Exception:
        traceback.print_exc()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--replay", type=int, help="tell of one seed alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.replay is not None:
        replayed(options.replay)
        return 0
    mutations.originals()
    start, end = options.seed, options.seed + options.count
    chunks = [range(first, min(first + CHUNK, end)) for first in range(start, end, CHUNK)]
    found, begun = mutations.Survey(), time.monotonic()
    with (
        TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as root,
        get_context("fork").Pool(options.workers) as pool,
    ):
        for number, part in enumerate(pool.imap_unordered(partial(surveyed, root), chunks), 1):
            found.add(part)
            if sys.stderr.isatty() or number % 50 == 0:
                print(f"{number * CHUNK:,}: {sum(found.failures.values()):,} failures", file=sys.stderr)
    print(f"{options.count:,} files from seed {start} in {time.monotonic() - begun:.0f} s: {found}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
