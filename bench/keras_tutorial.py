"""The tutorial's network in Keras, as a contestant of train.py: `keras_tutorial.py NAME ROWS BATCH_SIZE THREADS`.

Runs in bench/.venv-keras. The layers are those of the Keras example `variational_autoencoder_deconv` with the
tutorial's sizes, and the example's loss and optimiser: 784 times the binary cross-entropy of grey pixels, plus KL;
RMSprop. It is trained by `Model.fit` from an array in memory.
"""

import json
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

FILTERS, HIDDEN, LATENT = 64, 128, 64


class Vae(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        x = keras.Input((28, 28, 1))
        h = layers.Conv2D(1, 2, padding="same", activation="relu")(x)
        h = layers.Conv2D(FILTERS, 2, strides=2, padding="same", activation="relu")(h)
        h = layers.Conv2D(FILTERS, 3, padding="same", activation="relu")(h)
        h = layers.Conv2D(FILTERS, 3, padding="same", activation="relu")(h)
        h = layers.Dense(HIDDEN, activation="relu")(layers.Flatten()(h))
        h = layers.Dense(HIDDEN, activation="relu")(h)
        self.encoder = keras.Model(x, [layers.Dense(LATENT)(h), layers.Dense(LATENT)(h)])
        z = keras.Input((LATENT,))
        h = layers.Dense(HIDDEN, activation="relu")(z)
        h = layers.Dense(FILTERS * 14 * 14, activation="relu")(h)
        h = layers.Reshape((14, 14, FILTERS))(h)
        h = layers.Conv2DTranspose(FILTERS, 3, padding="same", activation="relu")(h)
        h = layers.Conv2DTranspose(FILTERS, 3, padding="same", activation="relu")(h)
        h = layers.Conv2DTranspose(FILTERS, 3, strides=2, padding="valid", activation="relu")(h)
        self.decoder = keras.Model(z, layers.Conv2D(1, 2, padding="valid", activation="sigmoid", dtype="float32")(h))
        self.draws = keras.random.SeedGenerator(0)

    def call(self, x):
        mean, log_var = (ops.cast(part, "float32") for part in self.encoder(x))
        z = mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean), seed=self.draws)
        self.add_loss(0.5 * ops.mean(ops.sum(ops.exp(log_var) + mean**2 - 1.0 - log_var, axis=1)))
        return self.decoder(z)


def reconstruction(x, y):
    return 784 * ops.mean(keras.losses.binary_crossentropy(x, y))


class Clock(keras.callbacks.Callback):
    """Times the steps of one fit, without the work before the first step."""

    def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002  Keras's signature
        if batch == 0:
            self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002  Keras's signature
        self.seconds = time.perf_counter() - self.began


def main() -> None:
    name, file, batch_size, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if "bfloat16" in name:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = Vae()
    model.compile(optimizer="rmsprop", loss=reconstruction, jit_compile="jit_compile" in name)
    images = np.load(file)[:, :, :, None].astype(np.float32) / 255
    parameters = model.encoder.count_params() + model.decoder.count_params()
    about = f"Keras {keras.__version__}, TensorFlow {tf.__version__}: {threads} threads"
    print(json.dumps({"parameters": parameters, "about": about}), flush=True)
    clock = Clock()
    for line in sys.stdin:
        rows = images[np.random.default_rng(0).permutation(len(images))[: int(line) * batch_size]]
        model.fit(rows, rows, batch_size=batch_size, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
        print(clock.seconds, flush=True)


if __name__ == "__main__":
    main()
