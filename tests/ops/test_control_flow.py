"""Control flow, random numbers and variables, beside Keras's and beside what the mathematics says."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchfunc as tf
from torchfunc import ops, random, tree
from torchfunc.errors import GraphError, ShapeError

X = np.arange(12, dtype="float32").reshape(4, 3) / 7

FLOWS: dict[str, list[Callable[[Any], Any]]] = {
    "cond": [
        lambda o: o.cond(True, lambda: o.ones(2), lambda: o.zeros(2)),
        lambda o: o.cond(torch.tensor(False), lambda: 1, lambda: 2),
        lambda o: o.cond(torch.tensor(3) > 2, lambda: o.erf(X), lambda: X),
    ],
    "switch": [
        lambda o, index=index: o.switch(index, [lambda x: x + 1, lambda x: x * 2], torch.ones(3))
        for index in (0, 1, 9)
    ],
    "while_loop": [
        lambda o: o.while_loop(lambda i: i < 5, lambda i: i + 2, 0),
        lambda o: o.while_loop(lambda i, x: i < 9, lambda i, x: (i + 1, x * 2), (0, X), maximum_iterations=3),
        lambda o: o.while_loop(lambda x: x.sum() > 1, lambda x: [x / 2], [X]),
    ],
    "fori_loop": [
        lambda o: o.fori_loop(0, 4, lambda i, x: x + i, torch.zeros(2)),
        lambda o: o.fori_loop(2, 2, lambda i, x: x + i, torch.ones(2)),
        lambda o: o.fori_loop(1, 3, lambda i, x: (x[0] * i, x[1] + x[0]), (torch.ones(2), torch.ones(2))),
    ],
    "scan": [
        lambda o: o.scan(lambda c, x: (c + x, c * x), torch.zeros(3), X),
        lambda o: o.scan(lambda c, x: (c + x[0], {"y": c - x[1]}), torch.zeros(3), (X, X * 2), reverse=True),
        lambda o: o.scan(lambda c, x: (c * 2, c), torch.ones(2), length=4),
    ],
    "map": [
        lambda o: o.map(lambda x: x * 2, X),
        lambda o: o.map(lambda x: x["a"].sum(), {"a": torch.from_numpy(X)}),
        lambda o: o.map(lambda x: (x, x + 1), torch.from_numpy(X)),
    ],
    "vectorized_map": [
        lambda o: o.vectorized_map(lambda x: x.sum(), torch.from_numpy(X)),
        lambda o: o.vectorized_map(lambda x: x * x[0], torch.from_numpy(X)),
        lambda o: o.vectorized_map(lambda x: torch.outer(x, x), torch.from_numpy(X)),
    ],
    "associative_scan": [
        lambda o: o.associative_scan(lambda a, b: a + b, X),
        lambda o: o.associative_scan(lambda a, b: a * b, torch.from_numpy(X), reverse=True, axis=1),
        lambda o: o.associative_scan(lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (X, X + 1)),
    ],
}


@pytest.mark.parametrize(("name", "place"), [(name, place) for name in FLOWS for place in range(3)])
def test_control_flow_returns_what_keras_returns(name: str, place: int) -> None:
    ours, kerases = (FLOWS[name][place](space) for space in (_Ours, keras.ops))
    for one, other in zip(tree.flatten(ours), tree.flatten(kerases), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


class _Ours:
    """Our ops, with two that another file is about."""

    ones, zeros = staticmethod(torch.ones), staticmethod(torch.zeros)

    def __class_getitem__(cls, name: str) -> Any:
        return getattr(ops, name)


for _name in (*FLOWS, "erf"):
    setattr(_Ours, _name, staticmethod(getattr(ops, _name)))


def test_on_a_symbol_a_function_of_python_is_refused_with_the_way_out() -> None:
    x = tf.Input((3,))
    for refused in (
        lambda: ops.cond(x, lambda: 1, lambda: 2),
        lambda: ops.map(lambda row: row, x),
        lambda: ops.while_loop(lambda y: True, lambda y: y, (x,)),
        lambda: ops.associative_scan(lambda a, b: a, x),
        lambda: ops.jvp(torch.sin, (x,), (x,)),
        lambda: ops.custom_gradient(lambda y: (y, lambda y, upstream: upstream))(x),
    ):
        with pytest.raises(GraphError, match="inside a Layer"):
            refused()


def test_a_scan_without_rows_says_what_to_give() -> None:
    with pytest.raises(GraphError, match="Fix: xs="):
        ops.scan(lambda c, x: (c, x), 0)


def test_a_custom_gradient_is_the_one_that_is_used() -> None:
    @ops.custom_gradient
    def double(x: Any) -> Any:
        return x * 2, lambda x, upstream: upstream * 7 * x

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    double(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [7.0, 14.0]


# PyTorch's own, at its first forward gradient
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_jvp_is_the_directional_derivative() -> None:
    value, change = ops.jvp(torch.sin, (torch.tensor(0.5),), (torch.tensor(2.0),))
    assert torch.allclose(value, torch.tensor(0.5).sin()) and torch.allclose(
        change, 2 * torch.tensor(0.5).cos()
    )


def test_values_leave_and_enter_as_arrays_shapes_and_names() -> None:
    assert (
        ops.shape(X) == (4, 3)
        and ops.dtype(X) == "float32"
        and ops.dtype(torch.ones(1, dtype=torch.int8)) == "int8"
    )
    assert ops.is_tensor(torch.ones(1)) and not ops.is_tensor(X) and not ops.is_tensor(tf.Input((1,)))
    assert ops.convert_to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]
    assert ops.convert_to_numpy([torch.ones(2), torch.zeros(2)]).shape == (2, 2)
    assert ops.convert_to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32


DRAWS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "normal": (lambda s: random.normal((20000,), 3.0, 2.0, seed=s), 3.0, 2.0),
    "uniform": (lambda s: random.uniform((20000,), -1.0, 3.0, seed=s), 1.0, 4 / 12**0.5),
    "randint": (lambda s: random.randint((20000,), 0, 5, seed=s), 2.0, 2**0.5),
    "truncated_normal": (lambda s: random.truncated_normal((20000,), 1.0, 2.0, seed=s), 1.0, 2 * 0.8796),
    "categorical": (lambda s: random.categorical(np.log([[0.25, 0.75]]), 20000, seed=s), 0.75, 0.1875**0.5),
    "dropout": (lambda s: random.dropout(np.ones(20000, "float32"), 0.2, seed=s), 1.0, 0.5),
    "gamma": (lambda s: random.gamma((20000,), 4.0, seed=s), 4.0, 2.0),
    "beta": (lambda s: random.beta((20000,), 2.0, 2.0, seed=s), 0.5, 0.05**0.5),
    "binomial": (lambda s: random.binomial((20000,), 10.0, 0.3, seed=s), 3.0, 2.1**0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_have_the_mean_and_deviation_of_their_distribution(name: str) -> None:
    draw, mean, deviation = DRAWS[name]
    found = draw(7).double()
    assert abs(found.mean().item() - mean) < 4 * deviation / 20000**0.5
    assert abs(found.std().item() - deviation) < 0.03 * deviation


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_draws_the_same_again_and_a_seed_generator_something_else_each_time(name: str) -> None:
    draw = DRAWS[name][0]
    torch.manual_seed(0)
    first = draw(7)
    torch.manual_seed(1)
    assert torch.equal(first, draw(7)) and not torch.equal(first, draw(8))
    one, other = random.SeedGenerator(7), random.SeedGenerator(7)
    drawn = [draw(one), draw(one)]
    assert torch.equal(drawn[0], draw(other)) and torch.equal(drawn[1], draw(other))
    assert not torch.equal(*drawn)
    assert first.dtype == getattr(torch, keras.backend.standardize_dtype(first.dtype))


def test_a_truncated_normal_stays_within_two_deviations_and_a_shuffle_keeps_the_rows() -> None:
    assert random.truncated_normal((5000,), seed=1).abs().max() <= 2
    assert sorted(random.shuffle(X, seed=3)[:, 0].tolist()) == X[:, 0].tolist()
    assert sorted(random.shuffle(X, axis=1, seed=3)[0].tolist()) == X[0].tolist()
    mask = random.dropout(np.ones((4, 6), "float32"), 0.5, (None, 1), seed=1)
    assert torch.equal(mask, mask[:, :1].expand(4, 6))


def test_a_model_drops_out_by_a_seed_and_building_it_uses_none_up() -> None:
    seeds = random.SeedGenerator(5)
    x = tf.Input((50,))
    model = tf.Model(x, random.dropout(x, 0.5, seed=seeds))
    assert seeds.state.tolist() == [5, 0]
    ones = torch.ones(2, 50)
    assert torch.equal(model(ones), random.dropout(ones, 0.5, seed=random.SeedGenerator(5)))
    with pytest.raises(GraphError, match="expected an integer"):
        random.SeedGenerator("a")  # type: ignore[arg-type]


def test_an_elastic_transform_repeats_with_its_seed_and_does_nothing_at_zero() -> None:
    images = torch.rand(2, 8, 9, 3)
    once, again = (ops.image.elastic_transform(images, 5.0, 1.0, seed=3) for _ in range(2))
    assert torch.equal(once, again) and not torch.allclose(once, images)
    assert torch.allclose(ops.image.elastic_transform(images, 0.0, 1.0), images)


def test_a_projective_map_divides_as_its_formula_says() -> None:
    x, y = 3, 2
    image = np.zeros((6, 7, 1), "float32")
    image[1, 2] = 1.0
    # k = 0.5 x + 0 y + 1 = 2.5 at (3, 2): from (2, 1)
    moved = ops.image.affine_transform(image, [5 / 3, 0, 0, 0, 1.25, 0, 0.5, 0], "nearest")
    assert moved[y, x, 0] == 1.0


def test_a_soft_cap_bends_the_logits_of_attention() -> None:
    q, k, v = (torch.randn(2, 4, 2, 3).double() for _ in range(3))
    logits = torch.einsum("bqhd,bkhd->bhqk", q, k) / 3**0.5
    truth = torch.einsum("bhqk,bkhd->bqhd", (2 * torch.tanh(logits / 2)).softmax(-1), v)
    assert torch.allclose(
        ops.dot_product_attention(q, k, v, attn_logits_soft_cap=2.0).double(), truth, atol=1e-5
    )


def test_a_variable_is_assigned_and_counted_with() -> None:
    v, twin = tf.Variable([1.0, 2.0]), keras.Variable([1.0, 2.0])
    for change in ("assign", "assign_add", "assign_sub"):
        getattr(v, change)([3.0, 5.0])
        getattr(twin, change)([3.0, 5.0])
        assert v.numpy().tolist() == twin.value.tolist()
    for one, other in ((v + 1, twin + 1), (2 * v, 2 * twin), (v**2, twin**2), (-v, -twin), (v[0], twin[0])):
        np.testing.assert_allclose(one.detach(), other.detach())
    (v.value * 2).sum().backward()
    assert v.value.grad is not None and v.value.grad.tolist() == [2.0, 2.0]
    with pytest.raises(ShapeError, match="expected shape"):
        v.assign([1.0])
    with pytest.raises(GraphError, match="needs its shape"):
        tf.Variable("zeros")


def test_a_variable_of_a_module_is_its_parameter_and_is_copied_and_pickled_whole() -> None:
    module = torch.nn.Module()
    module.v = tf.Variable("ones", shape=(2, 3), dtype="float64", trainable=False, name="v")
    assert [*dict(module.named_parameters())] == ["v"] and not module.v.trainable
    for again in (copy.deepcopy(module).v, pickle.loads(pickle.dumps(module)).v):
        assert isinstance(again, tf.Variable) and again.name == "v" and again.dtype is torch.float64
        assert torch.equal(again, module.v) and again is not module.v
    assert not tf.Variable(3).trainable


Point = namedtuple("Point", ["x", "y"])
STRUCTURES: list[Any] = [
    1,
    None,
    [1, (2, 3)],
    {"b": 1, "a": [2, {"y": 3, "z": None}]},
    Point(1, [2]),
    OrderedDict([("b", 1), ("a", (2,))]),
    [],
    ({}, 4),
]


@pytest.mark.parametrize("place", range(len(STRUCTURES)))
def test_structures_are_flattened_and_packed_as_by_keras(place: int) -> None:
    it = STRUCTURES[place]
    assert tree.flatten(it) == keras.tree.flatten(it)
    assert tree.flatten_with_path(it) == keras.tree.flatten_with_path(it)
    assert tree.is_nested(it) == keras.tree.is_nested(it)
    assert tree.pack_sequence_as(it, tree.flatten(it)) == it
    assert tree.lists_to_tuples(it) == keras.tree.lists_to_tuples(it)
    assert tree.map_structure(str, it) == keras.tree.map_structure(str, it)
    assert tree.map_structure(str, it, none_is_leaf=False) == keras.tree.map_structure(
        str, it, none_is_leaf=False
    )
    for top_down in (True, False):
        visits: list[Any] = []
        others: list[Any] = []
        tree.traverse(visits.append, it, top_down)
        keras.tree.traverse(others.append, it, top_down)
        assert visits == others
    for other in STRUCTURES:
        for name in ("assert_same_structure", "assert_same_paths"):
            assert _passes(getattr(tree, name), it, other) == _passes(getattr(keras.tree, name), it, other), (
                other
            )


def _passes(check: Callable[..., None], *args: Any) -> bool:
    try:
        check(*args)
    except ValueError:
        return False
    return True


def test_the_keys_of_a_plain_dict_are_sorted_at_every_depth() -> None:
    """Keras, without optree, sorts those of the outermost dict alone; its docs say all."""
    it = {"b": 1, "a": [{"z": 3, "y": 2}, OrderedDict([("d", 4), ("c", 5)])]}
    assert tree.flatten(it) == [2, 3, 4, 5, 1]
    assert tree.pack_sequence_as(it, [2, 3, 4, 5, 1]) == it


def test_structures_are_mapped_in_part_and_by_shape() -> None:
    assert tree.map_structure_up_to([None, [None, None]], str, [[1, 1], [2, 2]]) == ["[1, 1]", ["2", "2"]]
    with pytest.raises(ValueError, match="not nested alike"):
        tree.map_structure_up_to([None, None], str, [1])
    assert tree.map_shape_structure(len, {"a": (2, None), "b": [(1,), (2, 3, 4)]}) == {"a": 2, "b": [1, 3]}
    assert tree.traverse(lambda x: tree.MAP_TO_NONE if x == 2 else None, [1, 2]) == [1, None]
    with pytest.raises(ValueError, match="2 leaves, and 1"):
        tree.pack_sequence_as([1, 2], [1])
    with pytest.raises(TypeError, match="Fix"):
        tree.map_structure(str)


def test_the_global_order_of_channels_is_that_of_ops_too() -> None:
    x = torch.rand(2, 3, 6, 6)
    tf.layers.set_image_data_format("channels_first")
    try:
        assert ops.max_pool(x, 2).shape == (2, 3, 3, 3) and ops.image.resize(x, (4, 5)).shape == (2, 3, 4, 5)
    finally:
        tf.layers.set_image_data_format("channels_last")
    with pytest.raises(GraphError, match="channels_first"):
        ops.max_pool(x, 2, data_format="first")
