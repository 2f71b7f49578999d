"""Optimizers against Keras over many steps, and as what they are: optimizers of PyTorch."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from functools import partial

import keras
import pytest
import torch
from torch import nn

from torchfunc import optimizers, schedules
from torchfunc.errors import CompileError, ConfigError, SavingError, TorchfuncError, UnknownNameError
from torchfunc.optimizers import Stepper, Update

# Keras reads its own variables in a way that NumPy is about to forbid.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.6, "epsilon": 1e-3}),
    ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adam", {}),
    ("Adam", {"epsilon": 1e-2, "beta_1": 0.5, "beta_2": 0.7}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Lion", {}),
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.05, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("Adafactor", {"learning_rate": 0.1}),
    (
        "Adafactor",
        {"learning_rate": 0.9, "clip_threshold": 0.5, "beta_2_decay": -0.5, "relative_step": False},
    ),
    ("Muon", {"learning_rate": 0.1}),
    (
        "Muon",
        {"learning_rate": 0.1, "nesterov": False, "rms_rate": None, "ns_steps": 3, "adam_lr_ratio": 0.2},
    ),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1, "warmup_steps": 5, "weight_decay": 0.1, "beta_1": 0.7}),
    ("Ftrl", {}),
    ("Ftrl", {"l1_regularization_strength": 0.05, "l2_regularization_strength": 0.1, "beta": 0.2}),
    ("Ftrl", {"l2_shrinkage_regularization_strength": 0.1, "learning_rate_power": -0.3}),
]
COMMON = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.2},
    {"global_clipnorm": 0.7},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4},
    {"learning_rate": "schedule"},
]
SHAPES = [(5, 4), (4,), (3, 2, 4, 4), (), (7, 1)]
NAMES = [
    "SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta", "Lion", "Ftrl", "Lamb", "Adafactor",
    "Muon", "ScheduleFreeAdamW",
]  # fmt: skip


def make_params(shapes=SHAPES):
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def gradients(steps, shapes=SHAPES):
    generator = torch.Generator().manual_seed(2)
    return [[torch.randn(shape, generator=generator) * 0.5**i for shape in shapes] for i in range(steps)]


def run(stepper, params, batches):
    for grads in batches:
        for parameter, grad in zip(params, grads, strict=True):
            parameter.grad = grad
        stepper.step()


def values(params):
    return [parameter.detach().clone() for parameter in params]


def keras_run(optimizer, batches):
    variables = [keras.Variable(parameter.detach().clone()) for parameter in make_params()]
    with torch.no_grad():
        for grads in batches:
            optimizer.apply(grads, variables)
        optimizer.finalize_variable_values(variables)
    return [torch.as_tensor(variable.value).detach().cpu() for variable in variables]


def assert_equal_to_keras(name, arguments, steps_taken=12):
    ours, theirs = dict(arguments), dict(arguments)
    if arguments.get("learning_rate") == "schedule":
        ours["learning_rate"] = schedules.CosineDecay(0.1, 10)
        theirs["learning_rate"] = keras.optimizers.schedules.CosineDecay(0.1, 10)
    params = make_params()
    optimizer = getattr(optimizers, name)(**ours)
    run(optimizer.build(params), params, gradients(12))
    optimizer.finalize_variable_values()
    expected = keras_run(getattr(keras.optimizers, name)(**theirs), gradients(12))
    torch.testing.assert_close(values(params), expected, rtol=1e-5, atol=1e-5)
    assert optimizer.iterations == steps_taken


@pytest.mark.parametrize(
    ("name", "arguments"), [each for each in CASES if each[0] != "ScheduleFreeAdamW"], ids=str
)
def test_an_optimizer_equals_its_keras_twin_over_many_steps(name, arguments):
    assert_equal_to_keras(name, arguments)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam"])
@pytest.mark.parametrize("arguments", COMMON, ids=str)
def test_decay_clipping_averages_and_schedules_equal_those_of_keras(name, arguments):
    assert_equal_to_keras(name, arguments)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_the_fused_kernels_and_the_plain_ones_take_the_same_steps(name, arguments, monkeypatch):
    results = []
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(Update, "fused", lambda self: False)
        params = [nn.Parameter(parameter.detach().double()) for parameter in make_params()]
        batches = [[grad.double() for grad in grads] for grads in gradients(12)]
        run(getattr(optimizers, name)(**arguments).build(params), params, batches)
        results.append(values(params))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_without_gradients_are_passed_over_in_any_pattern(name):
    whole, parts = make_params(), make_params()
    stepper = getattr(optimizers, name)().build(whole)
    singles = [getattr(optimizers, name)().build([parameter]) for parameter in parts]
    for step, grads in enumerate(gradients(9)):
        for i, grad in enumerate(grads):
            # The first and third step give all of them, so that buffers exist before some are missing.
            present = step in (0, 2) or (step + i) % 3 > 0
            whole[i].grad = grad if present else None
            parts[i].grad = grad if present else None
        stepper.step()
        for single in singles:
            single.step()
            # The number of the step is the optimizer's, not the parameter's, in Keras.
            single.param_groups[0]["iterations"] = step + 1
            if "momentum_product" in single.param_groups[0]:
                single.param_groups[0]["momentum_product"] = stepper.param_groups[0]["momentum_product"]
    torch.testing.assert_close(values(whole), values(parts), rtol=1e-6, atol=1e-7)


def test_a_step_without_any_gradient_changes_nothing():
    params = make_params()
    optimizer = optimizers.Adam(weight_decay=0.1)
    optimizer.build(params).step()
    assert optimizer.iterations == 0
    assert all(torch.equal(one, other) for one, other in zip(params, make_params(), strict=True))


@pytest.mark.parametrize(("name", "arguments"), [*CASES, ("Adam", {"use_ema": True})], ids=str)
def test_a_loaded_state_goes_on_to_the_same_bits(name, arguments):
    batches = gradients(10)
    params = make_params()
    stepper = getattr(optimizers, name)(**arguments).build(params)
    run(stepper, params, batches[:5])
    saved, weights = copy.deepcopy(stepper.state_dict()), values(params)
    run(stepper, params, batches[5:])

    resumed = [nn.Parameter(weight) for weight in weights]
    other = getattr(optimizers, name)(**arguments).build(resumed)
    other.load_state_dict(saved)
    run(other, resumed, batches[5:])
    assert all(torch.equal(one, other) for one, other in zip(params, resumed, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copied_optimizer_goes_on_to_the_same_bits(name, copied):
    batches, params = gradients(8), make_params()
    stepper = getattr(optimizers, name)().build(params)
    run(stepper, params, batches[:4])
    twin = copied(stepper)
    run(stepper, params, batches[4:])
    theirs = twin.param_groups[0]["params"]
    run(twin, theirs, batches[4:])
    assert theirs[0] is not params[0]
    assert all(torch.equal(one, other) for one, other in zip(params, theirs, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_cast_between_steps_takes_its_state_along(name):
    batches, params = gradients(6), make_params()
    stepper = getattr(optimizers, name)().build(params)
    run(stepper, params, batches[:3])
    for parameter in params:
        parameter.data, parameter.grad = parameter.data.double(), None
    run(stepper, params, [[grad.double() for grad in grads] for grads in batches[3:]])
    state = [value for slots in stepper.state.values() for value in slots.values()]
    assert {value.dtype for value in state} <= {torch.float64}
    straight = make_params()
    run(getattr(optimizers, name)().build(straight), straight, batches)
    torch.testing.assert_close([v.float() for v in values(params)], values(straight), rtol=1e-5, atol=1e-6)


def test_state_that_somebody_replaces_is_taken_over():
    batches, params, straight = gradients(6), make_params(), make_params()
    stepper = optimizers.RMSprop().build(params)
    for grads in batches:
        run(stepper, params, [grads])
        for slots in stepper.state.values():
            slots["scaled_velocity"] = slots["scaled_velocity"].clone()
    run(optimizers.RMSprop().build(straight), straight, batches)
    assert all(torch.equal(one, other) for one, other in zip(params, straight, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["channels_last", "late", "transposed", "sliced"])
def test_the_order_of_weights_in_memory_changes_no_step(name, order):
    params, straight = make_params(), make_params()
    stepper, other = getattr(optimizers, name)().build(params), getattr(optimizers, name)().build(straight)

    def reorder():
        data = params[2].data
        params[2].data = {
            "transposed": data.transpose(0, 1).contiguous().transpose(0, 1),
            "sliced": torch.cat([data, data], 1)[:, : data.shape[1]],
        }.get(order, data.contiguous(memory_format=torch.channels_last))

    if order != "late":
        reorder()
    run(stepper, params, gradients(6)[:3])
    if order == "late":
        reorder()
    run(stepper, params, gradients(6)[3:])
    run(other, straight, gradients(6))
    assert not params[2].is_contiguous()
    torch.testing.assert_close(values(params), values(straight))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_from_another_order_in_memory_is_taken_for_what_it_holds(name):
    params, straight = make_params(), make_params()
    stepper = getattr(optimizers, name)().build(params)
    run(stepper, params, gradients(6)[:3])
    saved = copy.deepcopy(stepper.state_dict())
    for slots in saved["state"].values():
        for slot, value in slots.items():
            if value.ndim == 4:
                slots[slot] = value.contiguous(memory_format=torch.channels_last)
    stepper.load_state_dict(saved)
    run(stepper, params, gradients(6)[3:])
    run(getattr(optimizers, name)().build(straight), straight, gradients(6))
    torch.testing.assert_close(values(params), values(straight))


def test_a_sparse_gradient_is_taken_for_what_it_means():
    table = nn.Embedding(6, 3, sparse=True)
    twin = nn.Embedding(6, 3)
    twin.load_state_dict(table.state_dict())
    for module in (table, twin):
        optimizer = optimizers.Adam(0.1).build(module.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            module(torch.tensor([1, 1, 4])).pow(2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(table.weight, twin.weight)


def test_the_decay_of_rmsprop_is_one_kernel_for_all_parameters():
    params = make_params([(4, 4)] * 30)
    stepper = optimizers.RMSprop().build(params)
    run(stepper, params, gradients(2, [(4, 4)] * 30))
    with torch.profiler.profile(acc_events=True) as profile:
        stepper.step()
    counts = {event.key: event.count for event in profile.key_averages()}
    assert counts["aten::lerp_"] == 1
    assert counts["aten::_fused_adagrad_"] == 1
    assert counts["Optimizer.step#Stepper.step"] == 1


def test_pytorch_sees_an_optimizer_of_its_own():
    model = nn.Linear(3, 2)
    optimizer = optimizers.RMSprop(0.1)
    stepper = optimizer.build(model.parameters())
    assert isinstance(stepper, torch.optim.Optimizer)
    assert isinstance(stepper, Stepper)
    assert optimizer.torch_optimizer is stepper
    scheduler = torch.optim.lr_scheduler.StepLR(stepper, 1, gamma=0.5)
    for _ in range(3):
        stepper.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        stepper.step()
        scheduler.step()
    assert optimizer.learning_rate == stepper.param_groups[0]["lr"] == 0.0125
    assert model.weight.grad is not None
    stepper.zero_grad()
    assert model.weight.grad is None
    assert "rho: 0.9" in repr(stepper)


def test_hooks_and_closures_are_called():
    params, seen = make_params(), []
    stepper = optimizers.SGD(0.1).build(params)
    stepper.register_step_pre_hook(lambda *_: seen.append("before"))
    stepper.register_step_post_hook(lambda *_: seen.append("after"))

    def closure():
        stepper.zero_grad(set_to_none=False)
        loss = sum(parameter.square().sum() for parameter in params)
        loss.backward()
        seen.append("closure")
        return loss.detach()

    first, second = stepper.step(closure), stepper.step(closure)
    assert second < first
    assert seen == ["before", "closure", "after"] * 2


def test_groups_have_learning_rates_and_decays_of_their_own():
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [one]}, {"params": [other], "lr": 0.5, "weight_decay": 0.2}]
    stepper = optimizers.SGD(0.1).build(groups)
    run(stepper, [one, other], [[torch.ones(2), torch.ones(2)]])
    torch.testing.assert_close(one.detach(), torch.full((2,), 0.9))
    torch.testing.assert_close(other.detach(), torch.full((2,), 0.9 - 0.5))


def test_the_learning_rate_can_be_read_and_set_before_and_after_building():
    optimizer = optimizers.Adam(0.1)
    optimizer.learning_rate = 0.2
    stepper = optimizer.build(make_params())
    assert (optimizer.learning_rate, stepper.param_groups[0]["lr"]) == (0.2, 0.2)
    optimizer.learning_rate = 0.3
    assert stepper.param_groups[0]["lr"] == 0.3
    stepper.param_groups[0]["lr"] = 0.4
    assert optimizer.learning_rate == optimizer.get_config()["learning_rate"] == 0.4
    optimizer.learning_rate = schedules.ExponentialDecay(1.0, 1, 0.5)
    assert optimizer.learning_rate == 1.0


def test_a_schedule_is_asked_at_every_step_and_refuses_a_number():
    params = make_params()
    optimizer = optimizers.SGD(schedules.ExponentialDecay(1.0, 1, 0.5))
    stepper = optimizer.build(params)
    rates = []
    for grads in gradients(3):
        run(stepper, params, [grads])
        rates.append(stepper.param_groups[0]["lr"])
    assert rates == [1.0, 0.5, 0.25]
    assert optimizer.learning_rate == 0.125
    with pytest.raises(
        TorchfuncError, match="Its learning rate is a schedule.* Fix: assign another schedule"
    ):
        optimizer.learning_rate = 0.1
    assert optimizers.SGD(lambda: 0.7).learning_rate == 0.7
    assert optimizers.SGD(lambda step: 0.1 * (step + 1)).learning_rate == 0.1


def test_gradients_can_be_applied_by_hand():
    params, straight = make_params(), make_params()
    optimizer = optimizers.Adam(0.1)
    with pytest.raises(TorchfuncError, match="gradients without parameters"):
        optimizer.apply(gradients(1)[0])
    params[0].grad = kept = torch.ones(5, 4)
    for grads in gradients(3):
        optimizer.apply(grads, params)
    assert params[0].grad is kept
    run(optimizers.Adam(0.1).build(straight), straight, gradients(3))
    assert all(torch.equal(one, other) for one, other in zip(params, straight, strict=True))


def test_a_gradient_that_is_no_number_shows_in_every_weight_when_clipped_together():
    params = make_params()
    grads = gradients(1)[0]
    grads[1][0] = torch.inf
    run(optimizers.SGD(global_clipnorm=1.0).build(params), params, [grads])
    assert all(bool(parameter.isnan().all()) for parameter in params)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_config_makes_the_same_optimizer_and_that_of_keras_too(name, arguments):
    made = getattr(optimizers, name)(**arguments, clipnorm=1.0)
    again = optimizers.deserialize(optimizers.serialize(made))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()
    theirs = getattr(keras.optimizers, name)(**arguments, clipnorm=1.0)
    imported = optimizers.get(keras.optimizers.serialize(theirs))
    config = {key: value for key, value in imported.get_config().items() if key != "name"}
    ours = {key: value for key, value in made.get_config().items() if key != "name"}
    assert config.pop("learning_rate") == pytest.approx(ours.pop("learning_rate"))
    assert config == ours
    unless_none = {"loss_scale_factor", "gradient_accumulation_steps"}
    assert set(theirs.get_config()) - unless_none == set(made.get_config())


def test_a_schedule_is_part_of_the_config():
    made = optimizers.SGD(schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=3), momentum=0.9)
    again = optimizers.get(optimizers.serialize(made))
    assert again.get_config() == made.get_config()
    assert [again.schedule(step) for step in range(9)] == [made.schedule(step) for step in range(9)]
    theirs = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    assert isinstance(optimizers.get(keras.optimizers.serialize(theirs)).schedule, schedules.CosineDecay)


def test_get_takes_names_in_any_case_classes_and_objects():
    for given in (
        "rmsprop",
        "RMSprop",
        "RMSPROP",
        optimizers.RMSprop,
        {"class_name": "RMSprop", "config": {}},
    ):
        assert type(optimizers.get(given)) is optimizers.RMSprop
    optimizer = optimizers.Adam()
    assert optimizers.get(optimizer) is optimizer
    assert optimizers.get(optimizer.build(make_params())) is optimizer
    assert optimizers.get(None) is None


def test_get_takes_optimizers_of_pytorch():
    params = make_params()
    native = torch.optim.SGD(params, lr=0.1)
    wrapped = optimizers.get(native)
    assert wrapped.build(params) is wrapped.torch_optimizer is native
    wrapped.learning_rate = 0.2
    assert native.param_groups[0]["lr"] == wrapped.learning_rate == 0.2
    for given in (torch.optim.Adam, partial(torch.optim.Adam, lr=0.3), lambda p: torch.optim.Adam(p, 0.3)):
        made = optimizers.get(given)
        assert isinstance(made.build(params), torch.optim.Adam)
        assert isinstance(made.torch_optimizer, torch.optim.Adam)
    assert optimizers.get(partial(torch.optim.Adam, lr=0.3)).name == "Adam"
    with pytest.raises(CompileError, match=r"Optimizer 'Adam': got no parameters yet"):
        assert optimizers.get(torch.optim.Adam).learning_rate
    with pytest.raises(CompileError, match=r"expected a torch.optim.Optimizer"):
        optimizers.get(lambda params: 3).build(params)
    with pytest.raises(SavingError, match="write it as a named function"):
        optimizers.serialize(optimizers.get(lambda params: torch.optim.Adam(params)))


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda params: torch.optim.Adam, {"lr": 1e-3, "eps": 1e-8, "betas": (0.9, 0.999)}),
        (lambda params: partial(torch.optim.SGD, lr=0.1, momentum=0.9), {"lr": 0.1, "momentum": 0.9}),
        (
            lambda params: torch.optim.AdamW(params, lr=0.2, betas=(0.8, 0.9)),
            {"lr": 0.2, "betas": (0.8, 0.9)},
        ),
        (lambda params: torch.optim.RMSprop(params, centered=True), {"alpha": 0.99, "centered": True}),
    ],
)
def test_an_optimizer_of_pytorch_comes_back_from_json_as_itself_and_not_as_that_of_keras(make, settings):
    params = make_params()
    made = optimizers.get(make(params))
    written = json.loads(json.dumps(optimizers.serialize(made)))

    again = optimizers.get(written).build(params)

    assert type(again) is type(made.build(params))
    assert {key: again.param_groups[0][key] for key in settings} == settings
    assert optimizers.serialize(optimizers.get(written)) == written


def test_a_file_names_no_other_class_and_no_other_argument_of_pytorch():
    with pytest.raises(
        UnknownNameError, match=r"Unknown optimizer 'torch.optim.Adm'. Did you mean 'torch.optim.Adam'"
    ):
        optimizers.get({"class_name": "torch.optim.Adm", "config": {}})
    with pytest.raises(UnknownNameError, match="torch.optim.swa_utils"):
        optimizers.get({"class_name": "torch.optim.swa_utils.AveragedModel", "config": {}})
    with pytest.raises(ConfigError, match=r"torch.optim.SGD: expected arguments among \['lr', 'momentum'"):
        optimizers.get({"class_name": "torch.optim.SGD", "config": {"params": []}})
    with pytest.raises(SavingError, match="expected arguments that are numbers, .*got lr="):
        optimizers.serialize(optimizers.get(partial(torch.optim.SGD, lr=print)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optimizers.get("adm"), r"Unknown optimizer 'adm'\. Did you mean 'adam'\?"),
        (lambda: optimizers.get(3), "optimizer: expected a name, .* got 3 of type int"),
        (lambda: optimizers.Adam(lr=0.1), "Adam: got unknown argument 'lr'. Fix: write learning_rate"),
        (lambda: optimizers.RMSprop(eps=0.1), "unknown argument 'eps'. Fix: write epsilon"),
        (lambda: optimizers.SGD(momentun=0.1), "unknown argument 'momentun'. Fix: write momentum"),
        (
            lambda: optimizers.SGD(x=0.1),
            "unknown argument 'x'. Fix: it takes learning_rate, momentum, nesterov",
        ),
        (lambda: optimizers.SGD("fast"), "SGD: expected a number or a schedule, got learning_rate='fast'"),
        (lambda: optimizers.SGD(-1.0), "expected a number of at least 0, got learning_rate=-1.0"),
        (lambda: optimizers.SGD(momentum=1.5), "expected a number from 0 to 1, got momentum=1.5"),
        (
            lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0),
            "expected at most one of the three, got clipnorm=1.0",
        ),
        (lambda: optimizers.SGD(ema_momentum=2), "expected a number from 0 to 1, got ema_momentum=2"),
        (lambda: optimizers.RMSprop(rho=1.0), "expected a number from 0 to below 1, got rho=1.0"),
        (lambda: optimizers.Adam(beta_2=1.0), "expected a number from 0 to below 1, got beta_2=1.0"),
        (lambda: optimizers.Lion(beta_1=0.0), "expected a number above 0, up to 1, got beta_1=0.0"),
        (
            lambda: optimizers.Adagrad(initial_accumulator_value=-1),
            "expected at least 0, got initial_accumulator",
        ),
        (lambda: optimizers.Ftrl(learning_rate_power=1), "expected at most 0, got learning_rate_power=1"),
        (
            lambda: optimizers.Ftrl(l1_regularization_strength=-1),
            "at least 0, got l1_regularization_strength=-1",
        ),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "None or a whole number from 2"),
        (lambda: optimizers.SGD(loss_scale_factor=0), "loss_scale_factor=0"),
        (lambda: optimizers.Muon(ns_steps=10**9), "a whole number from 1 to 100"),
        (lambda: optimizers.Muon(muon_a=-1), "no singular value leaves .-10, 10. in 5 steps, got muon_a=-1"),
        (lambda: optimizers.Muon(exclude_layers="head"), "a list of names or parts of names"),
        (lambda: optimizers.Adafactor(clip_threshold=0), "a number above 0"),
        (lambda: optimizers.ScheduleFreeAdamW(beta_1=0), "a number above 0"),
        (lambda: optimizers.LossScaleOptimizer("adam"), "expected an optimizer of torchfunc"),
    ],
)
def test_wrong_names_and_arguments_are_told(make, words):
    with pytest.raises((CompileError, UnknownNameError, TorchfuncError), match=words):
        make()


def test_building_and_stepping_does_not_load_the_compiler():
    code = """
import sys, torch
from torchfunc import optimizers
p = [torch.nn.Parameter(torch.ones(3))]
o = optimizers.RMSprop().build(p)
p[0].grad = torch.ones(3)
o.step()
o.zero_grad()
o.load_state_dict(o.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


NEW = [each for each in CASES if each[0] in ("Lamb", "Adafactor", "Muon")]


@pytest.mark.parametrize(("name", "arguments"), NEW, ids=str)
def test_thirty_steps_in_float64_equal_those_of_keras_to_a_millionth(name, arguments):
    batches = [[grad.double() for grad in grads] for grads in gradients(30)]
    params = [nn.Parameter(parameter.detach().double()) for parameter in make_params()]
    run(getattr(optimizers, name)(**arguments).build(params), params, batches)
    theirs = getattr(keras.optimizers, name)(**arguments)
    variables = [keras.Variable(each.detach().double(), dtype="float64") for each in make_params()]
    with torch.no_grad():
        for grads in batches:
            theirs.apply(grads, variables)
    expected = [torch.as_tensor(variable.value).detach().cpu() for variable in variables]
    torch.testing.assert_close(values(params), expected, rtol=1e-6, atol=1e-6)


def schedule_free(batches, lr, beta_1, warmup_steps=0, weight_decay=0.0, *, aliased=False):
    """The formulas of Defazio et al. in float64; `aliased` reads the new momentum where the old one is meant."""
    points = [parameter.detach().double().clone() for parameter in make_params()]
    between = [each.clone() for each in points]
    squares = [torch.zeros_like(each) for each in points]
    for step, grads in enumerate(batches, 1):
        rate = lr * min(step / warmup_steps, 1.0) if warmup_steps else lr
        for i, grad in enumerate(each.double() for each in grads):
            now = between[i] * (1 - lr * weight_decay)
            old = points[i]
            squares[i] = 0.999 * squares[i] + 0.001 * grad**2
            points[i] = old - rate * grad / ((squares[i] / (1 - 0.999**step)).sqrt() + 1e-8)
            mean = (now - (1 - beta_1) * (points[i] if aliased else old)) / beta_1
            mean = (1 - 1 / step) * mean + points[i] / step
            between[i] = (1 - beta_1) * points[i] + beta_1 * mean
    return between


@pytest.mark.parametrize(
    "arguments", [{"beta_1": 0.9}, {"beta_1": 0.7, "warmup_steps": 5, "weight_decay": 0.1}], ids=str
)
def test_schedule_free_steps_equal_their_formulas_in_float64(arguments):
    batches, params = gradients(30), [nn.Parameter(each.detach().double()) for each in make_params()]
    run(
        optimizers.ScheduleFreeAdamW(0.1, **arguments).build(params),
        params,
        [[grad.double() for grad in grads] for grads in batches],
    )
    torch.testing.assert_close(
        values(params), schedule_free(batches, 0.1, **arguments), rtol=1e-10, atol=1e-10
    )


def test_keras_on_torch_reads_the_new_momentum_of_schedule_free_where_it_means_the_old_one():
    """A fault of Keras 3.15.1: `momentum.value` is the tensor that the next line changes in place."""
    theirs = keras_run(keras.optimizers.ScheduleFreeAdamW(0.1), gradients(12))
    faulty = [each.float() for each in schedule_free(gradients(12), 0.1, 0.9, aliased=True)]
    torch.testing.assert_close(theirs, faulty, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Muon", "Adafactor"])
def test_gradients_of_several_steps_make_one_as_in_keras(name):
    assert_equal_to_keras(name, {"gradient_accumulation_steps": 3}, steps_taken=4)
    assert_equal_to_keras(
        name, {"gradient_accumulation_steps": 3, "learning_rate": "schedule", "clipnorm": 0.5}, steps_taken=4
    )


def test_weight_decay_passes_over_what_it_is_told_to_as_in_keras():
    params = make_params([(3, 2), (2,), (2, 2)])
    names = ["dense.kernel", "dense.bias", "out.kernel"]
    ours, theirs = optimizers.AdamW(0.1, weight_decay=0.5), keras.optimizers.AdamW(0.1, weight_decay=0.5)
    variables = [
        keras.Variable(each.detach().clone(), name=name.replace(".", "_"))
        for each, name in zip(params, names, strict=True)
    ]
    ours.exclude_from_weight_decay(var_list=[params[2]], var_names=["bias"])
    theirs.exclude_from_weight_decay(var_list=[variables[2]], var_names=["bias"])
    batches = gradients(3, [(3, 2), (2,), (2, 2)])
    run(ours.build(zip(names, params, strict=True)), params, batches)
    with torch.no_grad():
        for grads in batches:
            theirs.apply(grads, variables)
    expected = [torch.as_tensor(each.value).detach().cpu() for each in variables]
    torch.testing.assert_close(values(params), expected, rtol=1e-5, atol=1e-5)


def test_a_learning_rate_is_a_number_and_can_be_assigned():
    optimizer = optimizers.SGD(0.5)
    parameter = nn.Parameter(torch.ones(2))
    optimizer.build([parameter])
    assert optimizer.learning_rate == 0.5 and optimizer.learning_rate * 2 == 1.0
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate.numpy() == optimizer.learning_rate.value == 0.25
    assert optimizer.torch_optimizer.param_groups[0]["lr"] == 0.25
    kept = pickle.loads(pickle.dumps(optimizer.learning_rate))
    assert type(kept) is type(copy.deepcopy(optimizer.learning_rate)) is float
    assert json.dumps(optimizer.get_config()["learning_rate"]) == "0.25"


def test_pairs_of_gradients_and_parameters_are_applied_and_unscaled():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = optimizers.SGD(0.1, loss_scale_factor=8.0)
    assert optimizer.scale_loss(torch.tensor(2.0)) == 16.0
    assert optimizer.apply_gradients([(torch.full((2,), 8.0), parameter)]) == 1
    torch.testing.assert_close(parameter.detach(), torch.full((2,), 0.9))
    assert [float(each) for each in optimizer.variables] == [1.0, pytest.approx(0.1)]
    assert len(optimizers.Adam().variables) == 2


def test_a_loss_scale_grows_shrinks_and_unscales_as_in_keras():
    ours = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=8.0, dynamic_growth_steps=2)
    theirs = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=8.0, dynamic_growth_steps=2
    )
    parameter, variable = nn.Parameter(torch.ones(2)), keras.Variable(torch.ones(2))
    for value in (1.0, 2.0, float("inf"), 3.0, float("nan"), 1.0, 1.0, 1.0):
        ours.apply([torch.full((2,), value)], [parameter])
        with torch.no_grad():
            theirs.apply([torch.full((2,), value)], [variable])
        assert ours.dynamic_scale == float(theirs.dynamic_scale.value)
        torch.testing.assert_close(parameter.detach(), torch.as_tensor(variable.value).detach().cpu())
    assert ours.scale_loss(torch.tensor(1.0)) == ours.dynamic_scale
    again = optimizers.get(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config() and type(again.inner_optimizer) is optimizers.SGD


def trained(optimizer, epochs, model=None):
    from torchfunc import Sequential, layers

    torch.manual_seed(0)
    if model is None:
        model = Sequential([layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(3)])
        model.compile(optimizer=optimizer, loss="mse")
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(32, 4, generator=generator), torch.randn(32, 3, generator=generator)
    model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize("name", ["Lamb", "Adafactor", "Muon", "ScheduleFreeAdamW"])
@pytest.mark.parametrize("arguments", [{}, {"gradient_accumulation_steps": 3, "weight_decay": 0.1}], ids=str)
def test_a_state_that_was_saved_goes_on_to_the_bit(name, arguments, tmp_path):
    from torchfunc import load_model

    whole = trained(getattr(optimizers, name)(0.05, **arguments), 4)
    first = trained(getattr(optimizers, name)(0.05, **arguments), 2)
    first.save(tmp_path / "m.safetensors")
    second = trained(None, 2, load_model(tmp_path / "m.safetensors"))
    for ours, expected in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, expected)


def test_muon_keeps_adams_squares_of_what_is_no_matrix_alone():
    from torchfunc import Sequential, layers

    model = Sequential(
        [layers.Input((4,), dtype="int64"), layers.Embedding(9, 3), layers.Flatten(), layers.Dense(2)]
    )
    model.compile(optimizer="muon", loss="mse")
    model.fit(torch.randint(0, 9, (8, 4)), torch.randn(8, 2), verbose=0)
    state = model.optimizer.torch_optimizer.state
    kept = {name: state[each]["velocity"].numel() for name, each in model.named_parameters()}
    assert kept == {"embedding.weight": 27, "dense.weight": 0, "dense.bias": 2}


def test_adafactor_keeps_a_row_and_a_column_of_a_matrix():
    params = make_params([(5, 4), (3,)])
    made = optimizers.Adafactor().build(params)
    run(made, params, gradients(1, [(5, 4), (3,)]))
    shapes = [{name: tuple(each.shape) for name, each in made.state[p].items()} for p in params]
    assert shapes == [
        {"row": (5, 1), "column": (1, 4), "velocity": (0,)},
        {"row": (0,), "column": (0,), "velocity": (3,)},
    ]
