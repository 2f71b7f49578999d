"""A variational autoencoder: a sampling layer, and a loss of two terms in a `train_step` of one's own."""

import torch

import torchfunc as keras
from torchfunc import layers, ops

keras.utils.set_random_seed(0)


class Sampling(layers.Layer):
    """A point of the distribution that the encoder describes by (z_mean, z_log_var)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


images = keras.Input((64,))
x = layers.Dense(32, activation="relu")(images)
z_mean, z_log_var = layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)
encoder = keras.Model(images, [z_mean, z_log_var, Sampling()([z_mean, z_log_var])], name="encoder")
decoder = keras.Sequential(
    [keras.Input((2,)), layers.Dense(32, activation="relu"), layers.Dense(64, activation="sigmoid")]
)


class VAE(keras.Model):
    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.trackers = [keras.metrics.Mean(name=name) for name in ("loss", "reconstruction_loss", "kl_loss")]

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, data):
        self.zero_grad()
        z_mean, z_log_var, z = self.encoder(data)
        reconstruction_loss = ops.mean(
            ops.sum(keras.losses.binary_crossentropy(data[..., None], self.decoder(z)[..., None]), axis=1)
        )
        kl_loss = -0.5 * ops.mean(ops.sum(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var), axis=1))
        total_loss = reconstruction_loss + kl_loss
        total_loss.backward()
        weights = self.trainable_weights
        with torch.no_grad():
            self.optimizer.apply([v.value.grad for v in weights], weights)
        for tracker, loss in zip(self.trackers, (total_loss, reconstruction_loss, kl_loss), strict=True):
            tracker.update_state(loss)
        return {m.name: m.result() for m in self.metrics}


(digits, _), _ = keras.datasets.digits.load_data()
vae = VAE(encoder, decoder)
vae.compile(optimizer=keras.optimizers.Adam(0.003))
history = vae.fit(digits.reshape(-1, 64) / 255.0, epochs=8, batch_size=64, verbose=2).history
print("It learns:", history["loss"][-1] < 0.8 * history["loss"][0])
