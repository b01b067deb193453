"""The data set of the posterior: parameters from the prior, spectra from the emulator, noise from Planck-like errors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from zoo.data.cmb.emulation import AXES, UNITS
from zoo.data.cmb.feature import load_spectra
from zoo.data.cmb.planck import TAU
from zoo.data.cmb.simulate import RANGES
from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.data.sbi.priors.laws import Normal, Uniform
from zoo.data.sbi.priors.prior import Prior
from zoo.model.axes import Axis
from zoo.seeds import generator

if TYPE_CHECKING:
    from zoo.families.base import ZooModel


def prior_of(tau: tuple[float, float] = TAU) -> Prior:
    """The prior of the parameters: uniform in the hypercube, but for tau, which is normal and cut to its range.

    Parameters
    ----------
    tau : tuple of float
        Mean and standard deviation of tau, of a measurement that the band powers do not hold.

    Returns
    -------
    Prior
        The prior of the six parameters.
    """

    def law(name: str) -> Uniform | Normal:
        low, high = RANGES[name]
        if name == "tau":
            return Normal(mean=tau[0], sd=tau[1], low=low, high=high)
        return Uniform(low=low, high=high, unit=UNITS[name])

    return Prior({name: law(name) for name in RANGES})


@cache
def load_emulator(name: str) -> ZooModel:
    """The emulator, loaded once."""
    from zoo.loading import load

    return load(name)


@register_dataset("cmb-posterior")
class CMBPosterior:
    """Cosmological parameters and the noisy binned spectra of their sky.

    Every row is a sky of its own. Training rows are drawn anew each epoch, parameters and noise, so that no sky is seen twice.
    Noise is Gaussian with the covariance of the best fit, whatever the cosmology.

    Parameters
    ----------
    train, validation, test : int
        Number of skies in each split.
    seed : int
        Seed of parameters and noise.
    tau : tuple of float
        Mean and standard deviation of the prior on tau.
    emulator : str
        Name or folder of the emulator, as ``zoo.load`` takes it.
    """

    description = "LambdaCDM parameters from the prior, and Planck-binned CMB spectra of an emulator with Planck-like noise"
    fields = ("cosmology", "cosmic-microwave-background")
    units: ClassVar[dict[str, str]] = UNITS
    axes: ClassVar[dict[str, Axis]] = AXES

    def __init__(
        self,
        train: int = 50_000,
        validation: int = 5_000,
        test: int = 10_000,
        seed: int = 0,
        tau: tuple[float, float] = TAU,
        emulator: str = "mlp-cmb-emulator",
    ) -> None:
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed, self.emulator, self.tau = seed, emulator, tau
        self.prior = prior_of(tau)
        self.simulator = f"{emulator}, Gaussian noise"
        self.cholesky = load_spectra().cholesky

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        number, n = list(self.sizes).index(split), self.sizes[split]
        rng = generator([self.seed, number, epoch if split == "train" else 0])
        theta = self.prior.sample(n, rng)
        return Rows(
            inputs={"theta": theta.astype(np.float32), "spectrum": self.observe(theta, rng)},
            target=np.zeros((n, 1), np.float32),
            group=groups(self.sizes, split),
            truth=dict(zip(self.prior.names, theta.T, strict=True)),
        )

    def observe(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noisy spectra (n, 215) in muK^2 of skies with parameters theta (n, 6)."""
        import keras

        noise = rng.standard_normal((len(theta), len(self.cholesky)), dtype=np.float32) @ self.cholesky.T.astype(np.float32)
        return keras.ops.convert_to_numpy(load_emulator(self.emulator)(theta.astype(np.float32))) + noise

    def reference(self, x: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, 6) by NUTS from the posterior of one sky x (215,)."""
        from zoo.data.cmb.likelihood import CHAINS, nuts

        seed, draws = int(rng.integers(2**31)), -(-n // CHAINS)
        kept = nuts(
            load_emulator(self.emulator), np.asarray(x)[None], self.cholesky, tau=self.tau, draws=2 * draws, seed=seed
        ).of(0)
        return rng.permutation(kept)[:n]
