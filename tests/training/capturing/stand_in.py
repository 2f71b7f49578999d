"""A stand-in for CUDA graphs: what was captured is called again, and writes its results where they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from torchfunc.training.capturing import cuda_graphs
from torchfunc.tree import leaves


class StandIn:
    """As `cuda_graphs.Graph`, on the CPU: calls before the capture change what they change on a GPU, too."""

    made: ClassVar[list[StandIn]] = []

    def __init__(
        self, run: Callable[[], Any], device: torch.device, own: Sequence[torch.Generator] = ()
    ) -> None:
        for _ in range(cuda_graphs.WARM_UPS):
            run()
        self.run, self.own, self.nbytes, self.replays = run, list(own), 0, 0
        self.returned = run()
        StandIn.made.append(self)

    def replay(self) -> None:
        self.replays += 1
        kept = [each for each in leaves(self.returned) if isinstance(each, Tensor)]
        made = [each for each in leaves(self.run()) if isinstance(each, Tensor)]
        for into, each in zip(kept, made, strict=True):
            into.copy_(each)


@contextmanager
def graphs_on_cpu(graph: Any = StandIn) -> Iterator[list[StandIn]]:
    """Within it graphs are taken to be captured on the CPU: those that were."""
    StandIn.made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_graphs, "takes", lambda device: True)
        patch.setattr(cuda_graphs, "Graph", graph)
        yield StandIn.made
