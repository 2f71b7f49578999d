"""What Keras code asks of its backend."""

from __future__ import annotations

import gc


def clear_session() -> None:
    """Let go of graphs that nothing uses any more.

    Keras resets its counters of layer names here. There are none: names are given in each model anew.

    Example:
        >>> tf.backend.clear_session()
        >>> tf.Model(x := tf.Input((3,)), tf.layers.Dense(2)(x)).layers[1].name  # as in a new process
        'dense'
    """
    gc.collect()
