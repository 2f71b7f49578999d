"""A first model: three layers that read handwritten digits."""

import torchfunc as keras
from torchfunc import layers

keras.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train = x_train.reshape(-1, 64).astype("float32") / 255
x_test = x_test.reshape(-1, 64).astype("float32") / 255

inputs = keras.Input(shape=(64,), name="img")
x = layers.Dense(64, activation="relu")(inputs)
x = layers.Dense(64, activation="relu")(x)
outputs = layers.Dense(10, activation="softmax")(x)
model = keras.Model(inputs, outputs, name="digits_model")

model.summary()
print(model.code)

model.compile(
    loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.RMSprop(), metrics=["accuracy"]
)
model.fit(x_train, y_train, batch_size=64, epochs=20, validation_split=0.2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=2)
print(f"Test accuracy: {accuracy:.2%}")
