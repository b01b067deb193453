"""A convolutional network that is to tell drawn maps from simulated ones."""

from __future__ import annotations

import keras
import numpy as np

from zoo.families.fields.convolutions import FieldFeatures

CHANNELS, EPOCHS, BATCH = (16, 32, 64), 10, 32


class MapClassifier(keras.Model):
    """Logit of a map (batch, height, width) being a drawn one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = FieldFeatures(2, CHANNELS, "swish", name="seen")
        self.head = keras.layers.Dense(1, name="head")

    def call(self, maps):
        return self.head(self.seen(maps))


def told_apart(simulated: np.ndarray, drawn: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of right answers for each pair of maps of simulations that the network was not trained on.

    Parameters
    ----------
    simulated, drawn : ndarray of shape (n, s, s)
        Simulated maps, and one drawn for each, of the same parameters.
    group : ndarray of shape (n,)
        The simulation of each; half of them train the network.

    Returns
    -------
    right : ndarray of shape (m,)
        0, 0.5 or 1 for each pair of the other half.
    group : ndarray of shape (m,)
        Their simulations.
    """
    simulations = np.unique(group)
    train = np.isin(group, simulations[: len(simulations) // 2])
    maps = np.concatenate([simulated[train], drawn[train]])
    label = np.repeat([0.0, 1.0], train.sum()).astype(np.float32)[:, None]
    keras.utils.set_random_seed(0)
    network = MapClassifier()
    network.seen.adapt(maps)
    steps = EPOCHS * (len(maps) // BATCH)
    network.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
    )
    order = np.random.default_rng(0).permutation(len(maps))
    network.fit(maps[order], label[order], batch_size=BATCH, epochs=EPOCHS, verbose=0)
    as_drawn = [np.asarray(network.predict(of[~train], batch_size=256, verbose=0))[:, 0] > 0 for of in (simulated, drawn)]
    return (1 - as_drawn[0] + as_drawn[1]) / 2, group[~train]
