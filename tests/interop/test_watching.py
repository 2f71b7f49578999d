"""A forward that torch.fx cannot follow is watched while it runs on tensors without data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchfunc.errors import GraphError
from torchfunc.interop import from_module


class Watched(nn.Module):
    def __init__(self, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.fc, self.bn, self.relu = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True)
        self.w = nn.Parameter(torch.rand(4, 4))
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        assert isinstance(x, Tensor)  # which no proxy is
        return self._forward(self, x)


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 1

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


def without_autocast(self: Any, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return x @ self.w


def partly_without_gradient(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        scale = self.fc(x).mean()
    return self.fc(x) * scale


def with_items_set(self: Any, x: Tensor) -> Tensor:
    y = torch.zeros(x.shape[0], 4, device=x.device)
    y[:, 1] = self.fc(x)[:, 0]
    return y + x


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: self.relu(self.bn(self.fc(x))),
        lambda self, x: F.dropout(self.fc(x), 0.0, self.training).view(x.shape[0] * 2, -1),
        lambda self, x: Double.apply(self.fc(x)),
        lambda self, x: 1 - (x > 0) * self.fc(x) / x.shape[0],
        lambda self, x: torch.cat(list(self.fc(x).chunk(2, 1))[::-1], 1).max(1).values,
        lambda self, x: torch.arange(4, device=x.device) * self.fc(x),
        without_autocast,
        partly_without_gradient,
        with_items_set,
    ],
)
def test_outputs_and_gradients_equal_the_modules_own(forward: Callable[..., Any]) -> None:
    module = Watched(forward)
    model = from_module(module, (4,))
    for mode, batch in ((False, 3), (True, 8)):
        module.train(mode), model.train(mode)
        x = torch.randn(batch, 4)
        expected, got = module(x), model(x)
        torch.testing.assert_close(got, expected)
        parameters = list(module.parameters())
        wanted = torch.autograd.grad(expected.sum(), parameters, allow_unused=True)
        found = torch.autograd.grad(got.sum(), parameters, allow_unused=True)
        for a, b in zip(found, wanted, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b)


def test_random_numbers_are_drawn_at_every_call() -> None:
    model = from_module(Watched(lambda self, x: x + torch.randn(4)), (4,))
    x = torch.zeros(2, 4)
    assert not torch.equal(model(x), model(x))


@dataclass
class Result:
    logits: Tensor
    cache: object = None


def test_a_dataclass_is_the_dict_of_its_tensors() -> None:
    module, x = Watched(lambda self, x: Result(self.fc(x), object())), torch.rand(2, 4)
    got = from_module(module, (4,))(x)
    assert list(got) == ["logits"] and torch.equal(got["logits"], module(x).logits)


class Cast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.linear(x)


class Checked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError("no tensor")
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "line", "why"),
    [
        (Cast(), "return self.linear(x)", "A module is called under torch.autocast."),
        (Checked(), "return x if x.sum() > 0 else -x", "It depends on the values in a tensor."),
    ],
)
def test_where_only_a_proxy_of_torch_fx_stood_in_the_way_the_line_is_the_one_that_stops_a_tensor(
    module: nn.Module, line: str, why: str
) -> None:
    with pytest.raises(GraphError) as error:
        from_module(module, (3,))
    assert f"got `{line}`. {why} Fix: call it as one node: module(x)." in str(error.value)
