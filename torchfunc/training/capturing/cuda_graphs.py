"""CUDA graphs: all that is asked of PyTorch to capture and replay what a function does on a device, in one place."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

WARM_UPS = 3  # as often as `torch.cuda.make_graphed_callables` does


def takes(device: torch.device) -> bool:
    """Whether graphs can be captured on a device."""
    return device.type == "cuda"


def generators(device: torch.device) -> list[torch.Generator]:
    """Those of PyTorch's own generators that kernels on a device draw from, besides that of the CPU."""
    if device.type != "cuda":
        return []
    torch.cuda.init()  # type: ignore[no-untyped-call]
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.cuda.default_generators[index]]


def settings() -> Iterator[Any]:
    """What kernels on a device are chosen by, which a captured one would not hear of."""
    cuda: Any = torch.backends.cuda
    cudnn: Any = torch.backends.cudnn
    for each in (cuda.matmul, cudnn.conv, cudnn.rnn):
        yield each.fp32_precision
    yield cuda.matmul.allow_fp16_reduced_precision_reduction
    yield cuda.matmul.allow_bf16_reduced_precision_reduction
    yield from (cudnn.enabled, cudnn.benchmark, cudnn.deterministic)
    yield from (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled())
    yield (cuda.cudnn_sdp_enabled(), torch.is_autocast_enabled("cuda"))


class Graph:
    """What a function did on a device, captured as PyTorch's notes on CUDA say; `replay` does it in the same memory.

    The function is called a few times before, on a stream at the side, so that what kernels set up at first is no part
    of the graph. A graph knows addresses alone: whoever has it keeps all tensors that the function works on.

    Args:
        run: the function, without arguments.
        device: where.
        own: the generators that it draws random numbers from, besides PyTorch's own.

    Attributes:
        returned: what the function returned, which each replay writes anew.
        nbytes: how much memory the device keeps for what happens within it.
    """

    def __init__(
        self, run: Callable[[], Any], device: torch.device, own: Sequence[torch.Generator] = ()
    ) -> None:
        with torch.cuda.device(device):
            _warm_up(run)
            self._graph = torch.cuda.CUDAGraph()
            for each in own:
                self._graph.register_generator_state(each)
            stream, first = torch.cuda.current_stream(), None
            try:
                # a thread that pins batches of a DataLoader goes on meanwhile, and calls CUDA
                with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                    before = torch.cuda.memory_reserved()
                    try:
                        self.returned = run()
                    except BaseException as error:
                        first = error
                        raise
            except BaseException as error:
                torch.cuda.set_stream(stream)  # which PyTorch leaves where ending a capture fails
                self._graph.reset()
                _release([*generators(device), *own], device)
                raise first or error from None  # of what failed, not that it cannot be ended then
            self.nbytes = torch.cuda.memory_reserved() - before

    def replay(self) -> None:
        """Do it again, on the stream that is current."""
        self._graph.replay()


def _warm_up(run: Callable[[], Any]) -> None:
    """Call a function on a stream at the side; the last time nothing in it may wait for the device."""
    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS - 1):
            run()
        with _without_waits():
            run()
    torch.cuda.current_stream().wait_stream(side)


@contextmanager
def _without_waits() -> Iterator[None]:
    """Within it PyTorch refuses what has the host wait, which would break a capture."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode does not find all
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def _release(drawn: Sequence[torch.Generator], device: torch.device) -> None:
    """Have generators draw numbers again, which some versions of PyTorch leave in a capture that failed."""
    for each in drawn:
        try:
            torch.empty(1, device=device).uniform_(generator=each)
        except RuntimeError:
            each.graphsafe_set_state(each.clone_state())
