"""Compare the recorded step with the step as it is on random models: `python scripts/fuzz_recorded.py --seed 500`.

All weights, what the optimizer remembers and all figures are equal to the bit, without the passes that move sums. The
models are those of the tests, which draw the first 500, or with `--keras` those of `tests/meaning.py`, which Keras has too.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))


def compared(seed: int, drawn: Callable[[int], Callable[..., Any] | None]) -> str:
    """What came of one random model."""
    from tests.training.recording import test_recorded_step as law
    from torchfunc.training.recording import replaying
    from torchfunc.training.recording.passes import tidying

    replaying.FEWEST, tidying.MOVING = 1, ()
    trained = drawn(seed)
    if trained is None:
        return "not trained"
    try:
        expected = trained(recorded=False)
    except Exception as error:
        return f"cannot be trained: {type(error).__name__}"
    try:
        found = trained(recorded=True)
        law.assert_equal(found, expected)
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {str(error)[:300]}"
    return "agrees" if law.is_recorded(found) else law.why_not(found).strip()


def of_the_tests(seed: int) -> Callable[..., Any]:
    from tests.training.recording.drawn_models import Drawing

    return Drawing(seed).trained


def of_keras(seed: int) -> Callable[..., Any] | None:
    import torch

    import torchfunc as tf
    from tests import meaning

    recipe = meaning.recipe(seed)

    def trained(*, recorded: bool) -> tf.Model:
        """The model after two epochs of single samples."""
        torch.manual_seed(0)
        names = meaning.build(recipe, tf)
        exec("\n".join(meaning.training_lines(recipe)), names)
        model: tf.Model = names["model"]
        model.run_eagerly = not recorded
        options = names["options"] | {"batch_size": 1, "epochs": 2, "shuffle": False}
        model.fit(names["x"], names["y"], verbose=0, **options)
        return model

    return trained if recipe["compile"] else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=500, help="how many models")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--keras", action="store_true", help="draw models that Keras has too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    drawn = of_keras if options.keras else of_the_tests
    counts = Counter(compared(seed, drawn) for seed in range(options.seed, options.seed + options.count))
    for what, count in counts.most_common():
        print(f"{count:6}  {what}")
    return int(any(what.startswith("seed") for what in counts))


if __name__ == "__main__":
    sys.exit(main())
