"""DCGAN: convolutions against transposed convolutions on small images, and a callback that looks at what comes out."""

import numpy as np
import torch

import torchfunc as keras
from torchfunc import layers

keras.utils.set_random_seed(0)
common = {"strides": 2, "padding": "same"}
discriminator = keras.Sequential([
    keras.Input((8, 8, 1)),
    layers.Conv2D(16, kernel_size=4, **common), layers.LeakyReLU(negative_slope=0.2),
    layers.Conv2D(32, kernel_size=4, **common), layers.LeakyReLU(negative_slope=0.2),
    layers.Flatten(), layers.Dropout(0.2), layers.Dense(1, activation="sigmoid"),
], name="discriminator")  # fmt: skip
generator = keras.Sequential([
    keras.Input((16,)), layers.Dense(2 * 2 * 32), layers.Reshape((2, 2, 32)),
    layers.Conv2DTranspose(32, kernel_size=4, **common), layers.LeakyReLU(negative_slope=0.2),
    layers.Conv2DTranspose(16, kernel_size=4, **common), layers.LeakyReLU(negative_slope=0.2),
    layers.Conv2D(1, kernel_size=5, padding="same", activation="sigmoid"),
], name="generator")  # fmt: skip


class GAN(keras.Model):
    def __init__(self, discriminator, generator):
        super().__init__()
        self.discriminator, self.generator = discriminator, generator
        self.trackers = [keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")]

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.optimizers, self.loss_fn = (d_optimizer, g_optimizer), loss_fn

    @property
    def metrics(self):
        return self.trackers

    def train_step(self, real):
        n = len(real)
        for index, network in enumerate((self.discriminator, self.generator)):
            self.zero_grad()
            fake = self.generator(keras.random.normal((n, 16)))
            images, labels = (
                (fake, torch.ones(n, 1)) if index else (torch.cat([real, fake]), torch.arange(2 * n) < n)
            )
            loss = self.loss_fn(labels.reshape(-1, 1).float(), self.discriminator(images, training=True))
            loss.backward()
            weights = network.trainable_weights
            self.optimizers[index].apply([v.value.grad for v in weights], weights)
            self.trackers[index].update_state(loss)
        return {m.name: m.result() for m in self.metrics}


look = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda epoch, logs: print(
        "Images like", generator.predict(np.zeros((3, 16)), verbose=0).shape
    )
)
(digits, _), _ = keras.datasets.digits.load_data()
gan = GAN(discriminator, generator)
adam = keras.optimizers.Adam
gan.compile(d_optimizer=adam(0.001), g_optimizer=adam(0.001), loss_fn=keras.losses.BinaryCrossentropy())
gan.fit(digits[..., None] / 255.0, epochs=2, batch_size=64, verbose=2, callbacks=[look])
