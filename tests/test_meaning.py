"""Random models mean what they mean in Keras: outputs, masks, losses, metrics, weights after training, and copies."""

from __future__ import annotations

import random

import pytest

from tests import meaning

RECIPES, PARTS = 300, 20
# Masks through models within models, lists of weights, short vectors, what float32 cancels out: each differed once.
ONCE = [100069, 100790, 101699, 300464, 300842, 301202, 304609, 305153, 305679, 306605, 306961, 309218]


@pytest.mark.parametrize("part", range(PARTS))
def test_random_models_mean_what_they_mean_in_keras(part: int) -> None:
    fits = 0
    for seed in range(part * RECIPES // PARTS, (part + 1) * RECIPES // PARTS):
        recipe = meaning.recipe(seed)
        try:
            meaning.check(recipe)
        except meaning.Unfit:
            continue
        except meaning.Difference as difference:
            raise AssertionError(f"seed {seed}: {difference}\n\n{meaning.written(recipe)}") from difference
        fits += 1
    assert fits > 0.6 * RECIPES // PARTS, "Keras refuses too many of the recipes."


def test_what_differed_once_means_the_same() -> None:
    for seed in ONCE:
        meaning.check(meaning.recipe(seed))


def test_the_truth_is_told_in_float64() -> None:
    lines = ["x1 = K.Input((3,), name='x1')", "x2 = L.Dense(2, name='n1')(x1)", "model = K.Model(x1, x2)"]
    names = {"K": meaning.keras, "L": meaning.keras.layers}
    with meaning.floats("float64"):
        exec("\n".join(lines), names)
    assert names["model"].output.dtype == names["model"].layers[1].kernel.dtype == "float64"
    assert meaning.keras.layers.Dense(2).compute_dtype == "float32"


def test_the_recipes_have_all_families_and_forms() -> None:
    text = "\n".join(meaning.written(meaning.recipe(seed)) for seed in range(RECIPES // 2))
    words = """Conv1D( Conv2D( Conv3D( Conv1DTranspose( Conv2DTranspose( DepthwiseConv SeparableConv MaxPooling
        AveragePooling GlobalAveragePooling BatchNormalization GroupNormalization LSTM( GRU( SimpleRNN( RNN([ Bidirectional(
        TimeDistributed( ConvLSTM Embedding( mask_zero=True Masking( Concatenate( Dot( Multiply( K.Sequential( float64
        initial_state channels_first sample_weight= class_weight= loss_weights weighted_metrics _regularizer _constraint
        activity_regularizer ActivityRegularization trainable=False int64 return_state Adam( SGD( RMSprop( (None,""".split()
    assert [word for word in words if word not in text] == []


def test_a_wrong_layer_is_found_and_cut_down_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "x1 = K.Input((4,), name='x1')",
        "x2 = L.Dense(3, name='n1')(x1)",
        "x3 = L.LeakyReLU(name='n2')(x2)",
        "x4 = L.Dense(3, name='n3')(x3)",
        "model = K.Model(x1, x4)",
    ]
    data = ["x1_data = rng.normal(size=(5, 4)).astype('float32')"]
    recipe = {"dtype": "float32", "lines": lines, "outputs": ["x4"], "data": data, "x": "x1_data"}
    recipe |= {"data_seed": 1, "compile": None}
    meaning.check(recipe)
    monkeypatch.setattr("torchfunc.layers.LeakyReLU.forward", lambda self, inputs: inputs.relu())

    with pytest.raises(meaning.Difference, match="prediction: .* apart") as found:
        meaning.check(recipe)
    smallest = meaning.shrunk(recipe, found.value.kind)

    assert smallest["lines"] == [lines[0], "x3 = L.LeakyReLU(name='n2')(x1)", "model = K.Model(x1, x3)"]


def test_a_seed_draws_the_same_recipe_whatever_was_drawn_before() -> None:
    first = meaning.recipe(3)
    random.seed(5)
    meaning.recipe(4)
    assert meaning.recipe(3) == first
