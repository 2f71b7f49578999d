"""Compare random models with Keras, many more of them than the tests do: `python scripts/fuzz_meaning.py --count 10000`.

Prints how many agree, and for each kind of difference its seeds and the code that shows it, cut down to a few lines.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from multiprocessing import TimeoutError, get_context
from pathlib import Path

LONGEST = 600  # seconds for one recipe

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))


def compared(arguments: tuple[int, bool]) -> tuple[int, str, str, str]:
    """(seed, what came of it, how, the code) for one recipe."""
    from tests import meaning

    seed, everything = arguments
    if everything:
        meaning.NOT_YET.clear()
    recipe = meaning.recipe(seed)
    try:
        meaning.check(recipe)
    except meaning.Unfit as error:
        return seed, "Keras refuses it", str(error).split("\n")[0], ""
    except meaning.Difference as difference:
        return seed, difference.kind, str(difference), meaning.written(recipe)
    return seed, "agrees", "", ""


def smallest(seed: int, kind: str, everything: bool) -> str:
    from tests import meaning

    if everything:
        meaning.NOT_YET.clear()
    return meaning.written(meaning.shrunk(meaning.recipe(seed), kind))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="how many recipes")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, default=1, help="how many processes")
    parser.add_argument("--everything", action="store_true", help="also what NOT_YET names")
    parser.add_argument("--shrink", type=int, default=1, help="how many of each kind to cut down")
    options = parser.parse_args()
    seeds = [(seed, options.everything) for seed in range(options.seed, options.seed + options.count)]
    counts: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    with get_context("spawn").Pool(options.workers, maxtasksperchild=500) as pool:
        found = pool.imap_unordered(compared, seeds)
        for _ in seeds:
            try:
                seed, kind, how, code = found.next(timeout=LONGEST)
            except TimeoutError:
                counts["lost with a process that died"] = len(seeds) - counts.total()
                break
            counts[kind] += 1
            if code:
                seen[kind] += 1
                shown = smallest(seed, kind, options.everything) if seen[kind] <= options.shrink else code
                print(f"\n# seed {seed}: {how}\n{shown}", flush=True)
    print()
    for kind, count in counts.most_common():
        print(f"{count:6}  {kind}")
    return int(bool(seen) or counts.total() > counts["agrees"] + counts["Keras refuses it"])


if __name__ == "__main__":
    sys.exit(main())
