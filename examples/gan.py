"""A GAN as Keras's users write it: two networks, two optimizers, a `compile` and a `train_step` of one's own."""

import torch

import torchfunc as keras
from torchfunc import layers

keras.utils.set_random_seed(0)
points = torch.randn(2048, 2) * 0.1 + torch.tensor([2.0, -1.0])


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator, self.generator, self.latent_dim = discriminator, generator, latent_dim
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    def learn(self, optimizer, network, predictions, labels):
        self.zero_grad()
        loss = self.loss_fn(labels, predictions)
        loss.backward()
        gradients = [v.value.grad for v in network.trainable_weights]
        with torch.no_grad():
            optimizer.apply(gradients, network.trainable_weights)
        return loss

    def train_step(self, real):
        batch_size = len(real)
        ones, zeros = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)
        noise = keras.random.normal((batch_size, self.latent_dim))
        both = torch.cat([self.generator(noise).detach(), real])
        d_loss = self.learn(
            self.d_optimizer, self.discriminator, self.discriminator(both), torch.cat([zeros, ones])
        )
        predictions = self.discriminator(self.generator(keras.random.normal((batch_size, self.latent_dim))))
        g_loss = self.learn(self.g_optimizer, self.generator, predictions, ones)
        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {m.name: m.result() for m in self.metrics}


discriminator = keras.Sequential(
    [keras.Input((2,)), layers.Dense(16), layers.LeakyReLU(0.2), layers.Dense(1)]
)
generator = keras.Sequential([keras.Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(2)])
gan = GAN(discriminator, generator, latent_dim=4)
gan.compile(
    d_optimizer=keras.optimizers.Adam(0.005, beta_1=0.5),
    g_optimizer=keras.optimizers.Adam(0.005, beta_1=0.5),
    loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
)
gan.fit(points, epochs=8, batch_size=64, verbose=2)
center = generator.predict(torch.randn(512, 4), verbose=0).mean(0)
print(f"The center of what is generated: ({center[0]:.1f}, {center[1]:.1f})")
