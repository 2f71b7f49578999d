"""Compare the recorded step with the step as it is on random models: `python scripts/fuzz_recorded.py --count 500`.

All weights, what the optimizer remembers and all figures are equal to the bit, without the passes that move sums.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections import Counter
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))


def compared(seed: int) -> str:
    """What came of one random model."""
    from tests import meaning
    from tests.training.recording import test_recorded_step as law
    from torchfunc.training.recording import replaying, tidying

    replaying.FEWEST, tidying.MOVING = 1, ()
    recipe = meaning.recipe(seed)
    if recipe["compile"] is None:
        return "not trained"
    try:
        expected = law.trained(recipe, recorded=False, epochs=2)
    except Exception:
        return "cannot be trained on single samples"
    try:
        found = law.trained(recipe, recorded=True, epochs=2)
        assert law.is_recorded(found), law.why_not(found)
        law.assert_equal(found, expected)
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {str(error)[:300]}"
    return "agrees"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=500, help="how many models")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts = Counter(compared(seed) for seed in range(options.seed, options.seed + options.count))
    for what, count in counts.most_common():
        print(f"{count:6}  {what}")
    return int(any(what.startswith("seed") for what in counts))


if __name__ == "__main__":
    sys.exit(main())
