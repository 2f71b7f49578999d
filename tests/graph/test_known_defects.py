"""What other libraries of this kind are known to get wrong is right here, a test each."""

from __future__ import annotations

import copy
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchfunc as tf
from torchfunc.errors import GraphError


def test_a_batch_size_is_not_frozen_by_a_view() -> None:
    x = tf.Input((2, 3))
    model = tf.Model(x, nn.Linear(6, 4)(x.view(x.shape[0], -1)))
    for size in (1, 2, 7):
        assert model(torch.zeros(size, 2, 3)).shape == (size, 4)


def test_building_does_not_change_batch_statistics_and_needs_no_batch_size() -> None:
    norm = nn.BatchNorm1d(4)
    x = tf.Input((4,))
    model = tf.Model(x, norm(x))
    assert norm.num_batches_tracked == 0 and torch.equal(norm.running_mean, torch.zeros(4))
    model(torch.randn(8, 4))
    assert norm.num_batches_tracked == 1


def test_a_symbol_given_by_keyword_is_recorded() -> None:
    x = tf.Input((4,))
    linear = nn.Linear(4, 2)
    model = tf.Model(x, linear(input=x))
    assert model.code.splitlines()[1].strip() == "x = self.linear(input=input)"
    assert torch.equal(model(torch.ones(1, 4)), linear(torch.ones(1, 4)))


def test_functions_of_torch_are_recorded() -> None:
    x = tf.Input((4,))
    model = tf.Model(x, torch.cat([F.relu(x), torch.abs(x)], 1))
    assert torch.equal(model(torch.tensor([[-1.0, 2, -3, 4]])), torch.tensor([[0.0, 2, 0, 4, 1, 2, 3, 4]]))


def test_comparisons_are_recorded_and_no_symbol_is_true() -> None:
    x = tf.Input((2,))
    model = tf.Model(x, [x > 1, x == 2, x != 2])
    assert [each.tolist() for each in model(torch.tensor([[1.0, 2.0]]))] == [
        [[False, True]],
        [[False, True]],
        [[True, False]],
    ]
    with pytest.raises(GraphError):
        bool(x)


def shared_twice() -> tf.Model:
    x = tf.Input((4,))
    shared = nn.Linear(4, 4)
    return tf.Model(x, shared(shared(x).relu()))


def test_a_shared_layer_is_listed_once_and_can_be_written_to_safetensors(tmp_path: Path) -> None:
    model = shared_twice()
    assert list(model.state_dict()) == ["linear.weight", "linear.bias"]
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    twin = shared_twice()
    twin.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    assert torch.equal(twin(torch.ones(1, 4)), model(torch.ones(1, 4)))


class Own(tf.Model):
    def train_step(self) -> str:
        return "my own"


def test_a_copy_keeps_the_class_the_attributes_and_the_sharing() -> None:
    x = tf.Input((4,))
    shared = nn.Linear(4, 4)
    model = Own(x, shared(shared(x).relu()))
    model.history = ["kept"]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(twin, Own) and twin.train_step() == "my own" and twin.history == ["kept"]
        assert len(list(twin.parameters())) == 2 and twin.linear is not model.linear
        twin.linear.weight.data.zero_()
        assert torch.equal(twin(torch.ones(1, 4)), twin.linear.bias.expand(1, 4))
        assert not torch.equal(model(torch.ones(1, 4)), twin(torch.ones(1, 4)))


def test_a_function_elsewhere_in_the_graph_does_not_keep_a_model_from_being_pickled() -> None:
    x = tf.Input((4,))
    y = nn.Linear(4, 4)(x)
    tf.call(lambda value: value + 1, y)
    model = tf.Model(x, y.relu() + 1)
    assert torch.equal(pickle.loads(pickle.dumps(model))(torch.ones(1, 4)), model(torch.ones(1, 4)))


def test_a_model_can_be_traced_by_fx() -> None:
    model = shared_twice()
    traced = torch.fx.symbolic_trace(model)
    assert torch.equal(traced(torch.ones(1, 4)), model(torch.ones(1, 4)))


def test_intermediate_results_do_not_stay_alive() -> None:
    x = y = tf.Input((4,))
    for _ in range(12):
        y = nn.Tanh()(y)
    model = tf.Model(x, y)
    results: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def watch(module: nn.Module, args: Any, output: Tensor) -> None:
        results.append(weakref.ref(output))
        alive.append(sum(each() is not None for each in results))

    for module in model.children():
        module.register_forward_hook(watch)
    with torch.no_grad():
        model(torch.ones(1, 4))
    assert len(alive) == 12 and max(alive) <= 2


def test_a_replaced_submodule_takes_effect() -> None:
    model = shared_twice()
    model.linear = nn.Identity()
    assert torch.equal(model(torch.ones(1, 4)), torch.ones(1, 4)) and not list(model.parameters())


def test_a_method_of_a_result_compiles_without_a_break() -> None:
    x = tf.Input((8,))
    model = tf.Model(x, nn.Linear(8, 8)(x).relu())
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(torch.ones(2, 8)), model(torch.ones(2, 8)))


def test_inputs_have_names_and_come_as_a_dict_a_list_or_keywords() -> None:
    title, body = tf.Input((2,), name="title"), tf.Input((2,), name="body")
    model = tf.Model({"title": title, "body": body}, title - body)
    a, b = torch.ones(1, 2), torch.zeros(1, 2)
    for found in (model(a, b), model([a, b]), model({"body": b, "title": a}), model(body=b, title=a)):
        assert torch.equal(found, a)
    assert torch.equal(model({"title": np.ones((1, 2)), "body": [[0.0, 0.0]]}), a)


def test_native_modules_follow_the_mode_of_the_model() -> None:
    x = tf.Input((100,))
    norm = nn.BatchNorm1d(100)
    model = tf.Model(x, nn.Dropout(0.5)(norm(x))).eval()
    batch = torch.randn(4, 100)
    first = model(batch)
    assert torch.equal(model(batch), first) and norm.num_batches_tracked == 0
    assert not (first == 0).any()
    model.train()
    assert (model(batch) == 0).float().mean() > 0.3 and norm.num_batches_tracked == 1


def test_a_state_dict_is_what_a_hand_written_module_has() -> None:
    def build() -> tf.Model:
        x = tf.Input((4,))
        y = nn.Sequential(nn.Linear(4, 4), nn.ReLU())(x)
        return tf.Model(x, nn.BatchNorm1d(4)(nn.Linear(4, 4)(y)))

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sequential = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.linear = nn.Linear(4, 4)
            self.batch_norm1d = nn.BatchNorm1d(4)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.batch_norm1d(self.linear(self.sequential(x)))
            return result

    one, two, twin = build(), build(), ByHand()
    assert list(one.state_dict()) == list(two.state_dict()) == list(twin.state_dict())
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in twin.named_parameters()]
    assert [name for name, _ in one.named_buffers()] == [name for name, _ in twin.named_buffers()]
    assert [name for name, _ in one.named_children()] == [name for name, _ in twin.named_children()]
    two.load_state_dict(one.state_dict())
    twin.load_state_dict(one.state_dict())
    batch = torch.randn(3, 4)
    assert torch.equal(one(batch), two(batch)) and torch.equal(one(batch), twin(batch))
    inner = nn.Sequential(build(), nn.Tanh())
    assert len(inner.state_dict()) == len(twin.state_dict())
    assert one.half()(batch.half()).dtype is torch.float16
