"""Distillation: a small network learns from a large one, in `compute_loss`; the rest is that of `fit`."""

import torchfunc as keras
from torchfunc import layers, ops

keras.utils.set_random_seed(0)


class Distiller(keras.Model):
    def __init__(self, student, teacher):
        super().__init__()
        self.student, self.teacher = student, teacher

    def compile(self, optimizer, metrics, student_loss_fn, distillation_loss_fn, alpha=0.1, temperature=3):
        super().compile(optimizer=optimizer, metrics=metrics)
        self.student_loss_fn, self.distillation_loss_fn = student_loss_fn, distillation_loss_fn
        self.alpha, self.temperature = alpha, temperature

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        student_loss = self.student_loss_fn(y, y_pred)
        soft_teacher, soft_student = (
            ops.softmax(logits / self.temperature, axis=1)
            for logits in (self.teacher(x, training=False), y_pred)
        )
        distillation_loss = self.distillation_loss_fn(soft_teacher, soft_student) * self.temperature**2
        return self.alpha * student_loss + (1 - self.alpha) * distillation_loss

    def call(self, x):
        return self.student(x)


def classifier(units, name):
    return keras.Sequential(
        [keras.Input((64,)), layers.Dense(units, activation="relu"), layers.Dense(10)], name=name
    )


(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = x_train.reshape(-1, 64) / 255.0, x_test.reshape(-1, 64) / 255.0
teacher, student = classifier(128, "teacher"), classifier(8, "student")
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

teacher.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
teacher.fit(x_train, y_train, epochs=10, batch_size=32, verbose=0)
teacher.trainable = False

distiller = Distiller(student, teacher)
distiller.compile(
    optimizer=keras.optimizers.Adam(0.005),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
    student_loss_fn=loss,
    distillation_loss_fn=keras.losses.KLDivergence(),
)
distiller.fit(x_train, y_train, epochs=10, batch_size=32, verbose=2)
print("Student's accuracy above 85 %:", distiller.evaluate(x_test, y_test, verbose=0)[1] > 0.85)
