"""The heap: a training does not take its memory from the system again at each batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COUNTED = """
import resource, sys, torch, torchfunc as tf

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

class Counting(tf.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        seen.append(faults())

torch.set_num_threads(1)
x = inputs = tf.Input((32, 32, 3))
for _ in range(4):
    x = tf.layers.Conv2D(32, 3, activation="relu")(x)
outputs = tf.layers.Dense(10, activation="softmax")(tf.layers.GlobalAveragePooling2D()(x))
model, seen = tf.Model(inputs, outputs), []
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.run_eagerly = sys.argv[1] == "eager"
images, labels = torch.rand(64 * 16, 32, 32, 3), torch.randint(10, (64 * 16,))
model.fit(images, labels, batch_size=64, verbose=0, callbacks=[Counting()])
print(seen[-1] - seen[-9])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells no page faults")
@pytest.mark.parametrize("make", ["eager", "recorded"])
def test_eight_batches_take_few_pages(make: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, make], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(done.stdout) < 8 * 500  # of some 8,000 that a batch writes to
