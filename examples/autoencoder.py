"""One graph, two models: an encoder, and the autoencoder that trains it; then the same from nested models."""

import numpy as np

import torchfunc as keras
from torchfunc import layers

keras.utils.set_random_seed(0)

encoder_input = keras.Input(shape=(28, 28, 1), name="img")
x = layers.Conv2D(16, 3, activation="relu")(encoder_input)
x = layers.Conv2D(32, 3, activation="relu")(x)
x = layers.MaxPooling2D(3)(x)
x = layers.Conv2D(32, 3, activation="relu")(x)
x = layers.Conv2D(16, 3, activation="relu")(x)
encoder_output = layers.GlobalMaxPooling2D()(x)
encoder = keras.Model(encoder_input, encoder_output, name="encoder")

decoder_input = keras.Input(shape=(16,), name="encoded_img")
x = layers.Reshape((4, 4, 1))(decoder_input)
x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
x = layers.UpSampling2D(3)(x)
x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
decoder_output = layers.Conv2DTranspose(1, 3)(x)
decoder = keras.Model(decoder_input, decoder_output, name="decoder")

# models are layers: called on symbols they become one row of a larger model, with the same weights
image = keras.Input(shape=(28, 28, 1), name="img")
autoencoder = keras.Model(image, decoder(encoder(image)), name="autoencoder")
autoencoder.summary(expand_nested=True)

(digits, _), _ = keras.datasets.digits.load_data()
images = np.pad(digits.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))[:512, ..., None] / 255.0
autoencoder.compile(optimizer="adam", loss="mse")
history = autoencoder.fit(images, images, epochs=2, batch_size=64)
print("Encoded:", encoder.predict(images[:4], verbose=0).shape)
