"""Contrastive learning (SimCLR): views of unlabeled images, a projection head and a linear probe, in one step."""

import torch

import torchfunc as keras
from torchfunc import layers, ops

keras.utils.set_random_seed(0)


class ContrastiveModel(keras.Model):
    def __init__(self, width=32, temperature=0.1):
        super().__init__()
        self.temperature = temperature
        self.encoder = keras.Sequential(
            [keras.Input((64,)), layers.Dense(128, activation="relu"), layers.Dense(width)]
        )
        self.projection_head = keras.Sequential(
            [keras.Input((width,)), layers.Dense(width, activation="relu"), layers.Dense(width)]
        )
        self.linear_probe = keras.Sequential([keras.Input((width,)), layers.Dense(10)])

    def compile(self, contrastive_optimizer, probe_optimizer, **kwargs):
        super().compile(**kwargs)
        self.contrastive_optimizer, self.probe_optimizer = contrastive_optimizer, probe_optimizer
        self.contrastive_loss_tracker = keras.metrics.Mean(name="c_loss")
        self.probe_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.probe_accuracy = keras.metrics.SparseCategoricalAccuracy(name="p_acc")

    def augmented(self, images):
        return images * (torch.rand_like(images) > 0.2) + 0.05 * torch.randn_like(images)

    def contrastive_loss(self, first, second):
        first, second = ops.normalize(first, axis=1), ops.normalize(second, axis=1)
        similarities = ops.matmul(first, ops.transpose(second)) / self.temperature
        labels = ops.arange(len(first))
        losses = [
            keras.losses.sparse_categorical_crossentropy(labels, each, from_logits=True)
            for each in (similarities, ops.transpose(similarities))
        ]
        return ops.mean(sum(losses)) / 2

    def learn(self, optimizer, loss, weights):
        self.zero_grad()
        loss.backward()
        with torch.no_grad():
            optimizer.apply([v.value.grad for v in weights], weights)

    def train_step(self, data):
        unlabeled, (images, labels) = data
        both = ops.concatenate([unlabeled, images])
        first, second = (self.projection_head(self.encoder(self.augmented(both))) for _ in range(2))
        loss = self.contrastive_loss(first, second)
        self.learn(
            self.contrastive_optimizer,
            loss,
            self.encoder.trainable_weights + self.projection_head.trainable_weights,
        )
        self.contrastive_loss_tracker.update_state(loss)

        logits = self.linear_probe(self.encoder(images).detach())
        self.learn(self.probe_optimizer, self.probe_loss(labels, logits), self.linear_probe.trainable_weights)
        self.probe_accuracy.update_state(labels, logits)
        return {m.name: m.result() for m in self.metrics if m.name in ("c_loss", "p_acc")}

    def test_step(self, data):
        images, labels = data
        self.probe_accuracy.update_state(labels, self.linear_probe(self.encoder(images)))
        return {"p_acc": self.probe_accuracy.result()}


(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = (torch.tensor(x.reshape(-1, 64) / 255.0, dtype=torch.float32) for x in (x_train, x_test))
y_train = torch.tensor(y_train)
batches = [
    (x_train[i : i + 96], (x_train[i + 96 : i + 128], y_train[i + 96 : i + 128])) for i in range(0, 1152, 128)
]
model = ContrastiveModel()
model.compile(keras.optimizers.Adam(0.003), keras.optimizers.Adam(0.02))
model.fit(batches, epochs=20, verbose=2)
print(
    "Probe's accuracy above 60 %:", model.evaluate(x_test, y_test, return_dict=True, verbose=0)["p_acc"] > 0.6
)
