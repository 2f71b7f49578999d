"""A graph that is no chain: the guide's toy ResNet, its emitted forward, and an epoch on one-hot labels."""

import torchfunc as keras
from torchfunc import layers

keras.utils.set_random_seed(0)
inputs = keras.Input(shape=(32, 32, 3), name="img")
x = layers.Conv2D(32, 3, activation="relu")(inputs)
x = layers.Conv2D(64, 3, activation="relu")(x)
block_1_output = layers.MaxPooling2D(3)(x)

x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_1_output)
x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
block_2_output = layers.add([x, block_1_output])

x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_2_output)
x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
block_3_output = layers.add([x, block_2_output])

x = layers.Conv2D(64, 3, activation="relu")(block_3_output)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(256, activation="relu")(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(10, activation="softmax")(x)

model = keras.Model(inputs, outputs, name="toy_resnet")
model.summary()
print(model.code)

# handwritten digits of 8x8, enlarged; resnet_cifar.py trains the same network on CIFAR-10
(digits, labels), _ = keras.datasets.digits.load_data()
images = digits[:320, :, :, None].repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3) / 255.0
one_hot = keras.utils.to_categorical(labels[:320], 10)
model.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss="categorical_crossentropy", metrics=["acc"])
model.fit(images, one_hot, batch_size=64, epochs=1, validation_split=0.2)
