"""The posterior of LambdaCDM's parameters by NUTS: what an amortised posterior is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.cmb.emulation import HIGH, LOW, PARAMETERS
from zoo.data.cmb.planck import TAU
from zoo.progress import track
from zoo.quiet import quiet_autocorrelation
from zoo.seeds import generator

CHAINS = 8
"""Number of chains of each sky."""
STEPS_AT_ONCE = 50
"""Steps of the chains in one call of the graph, so that progress can be shown."""
NEWTON_STEPS = 12
WALL = 0.02
"""Fraction of a range beyond its ends at which the density has fallen by exp(-1/2)."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Samples from the posterior of each sky.

    Attributes
    ----------
    samples : ndarray of shape (skies, chains, draws, 6)
        Parameters, some of them beyond the ends of their ranges.
    r_hat : ndarray of shape (skies, 6)
        Potential scale reduction over the chains (Gelman & Rubin 1992); 1 where they agree.
    effective : ndarray of shape (skies, 6)
        Effective number of samples, all chains together.
    divergent : float
        Fraction of steps that diverged.
    seconds : float
        Seconds that sampling took, compilation included.
    """

    samples: np.ndarray
    r_hat: np.ndarray
    effective: np.ndarray
    divergent: float
    seconds: float

    def of(self, sky: int) -> np.ndarray:
        """Samples of one sky inside the ranges, chains after one another: (n, 6)."""
        found = self.samples[sky].reshape(-1, self.samples.shape[-1])
        return found[((found >= LOW) & (found <= HIGH)).all(axis=1)]


class Posterior:
    """The density log p(parameters | sky), differentiable in TensorFlow; parameters are fractions of their ranges.

    The ranges end in steep but smooth walls: NUTS moves through them, and samples beyond are thrown away, which leaves
    exactly the posterior with sharp ends. (A logit would bend the degeneracy of tau and As, straight in the parameters.)

    Parameters
    ----------
    emulator : callable
        Makes spectra (n, 215) in muK^2 of parameters (n, 6), differentiable in TensorFlow.
    spectra : ndarray of shape (skies, 215)
        Measured spectra in muK^2.
    cholesky : ndarray of shape (215, 215)
        Lower triangular factor of the covariance of the noise.
    tau : tuple of float
        Mean and standard deviation of the prior on tau.
    """

    def __init__(
        self, emulator: Callable[[Any], Any], spectra: np.ndarray, cholesky: np.ndarray, tau: tuple[float, float] = TAU
    ) -> None:
        import tensorflow as tf

        whiten = np.linalg.inv(cholesky).T
        self.emulator, self.tau = emulator, tau
        self.data = tf.constant((spectra @ whiten)[:, None], tf.float32)
        self.whiten = tf.constant(whiten, tf.float32)

    def residual(self, share):
        """Model minus data, and tau minus its prior mean, in standard deviations: (skies, n, 216) for (skies, n, 6)."""
        import tensorflow as tf

        theta = tf.constant(LOW, tf.float32) + tf.constant(HIGH - LOW, tf.float32) * share
        mean = tf.matmul(self.emulator(tf.reshape(theta, (-1, len(PARAMETERS)))), self.whiten)
        at = PARAMETERS.index("tau")
        prior = (theta[..., at : at + 1] - self.tau[0]) / self.tau[1]
        return tf.concat([tf.reshape(mean, (*share.shape[:-1], -1)) - self.data, prior], axis=-1)

    def log_density(self, share):
        """The log density (skies, n) of parameters (skies, n, 6), up to a constant."""
        import tensorflow as tf

        beyond = (tf.nn.relu(-share) + tf.nn.relu(share - 1)) / WALL
        return -0.5 * (tf.reduce_sum(tf.square(self.residual(share)), axis=-1) + tf.reduce_sum(tf.square(beyond), axis=-1))

    def laplace(self) -> tuple[np.ndarray, np.ndarray]:
        """Mode of each sky, walls included (skies, 6), and a Cholesky factor of its covariance without them (skies, 6, 6).

        By Gauss-Newton steps from the middle of the hypercube.
        """
        import tensorflow as tf

        @tf.function(jit_compile=False)
        def linearized(share):
            with tf.GradientTape() as tape:
                tape.watch(share)
                residual = self.residual(share[:, None])[:, 0]
            return residual, tape.batch_jacobian(residual, share)

        share = np.full((len(self.data), len(PARAMETERS)), 0.5)
        for _ in range(NEWTON_STEPS):
            residual, jacobian = (t.numpy().astype(float) for t in linearized(tf.constant(share, tf.float32)))
            beyond = np.minimum(share, 0) + np.maximum(share - 1, 0)
            gradient = np.einsum("sri,sr->si", jacobian, residual) + beyond / WALL**2
            curvature = np.einsum("sri,srj->sij", jacobian, jacobian)
            walled = curvature + (beyond != 0)[:, None] * np.eye(len(PARAMETERS)) / WALL**2
            share = np.clip(share - np.linalg.solve(walled, gradient[..., None])[..., 0], -2 * WALL, 1 + 2 * WALL)
        return share, np.linalg.cholesky(np.linalg.inv(curvature))


def nuts(
    emulator: Callable[[Any], Any],
    spectra: np.ndarray,
    cholesky: np.ndarray,
    *,
    tau: tuple[float, float] = TAU,
    chains: int = CHAINS,
    burn_in: int = 300,
    draws: int = 1250,
    seed: int = 0,
) -> Chains:
    """The no-U-turn sampler (Hoffman & Gelman 2014) on the Gaussian likelihood of binned spectra, all skies at once.

    Each sky's posterior is whitened by its curvature at its mode, around which the chains start twice as wide as it says;
    every chain adapts its step size while it burns in.

    Parameters
    ----------
    emulator : callable
        Makes spectra of parameters, as `Posterior` takes it.
    spectra, cholesky : ndarray
        The data and the factor of their covariance, as `Posterior` takes them.
    tau : tuple of float
        Mean and standard deviation of the prior on tau.
    chains : int
        Number of chains for each sky.
    burn_in : int
        Steps of each chain that are thrown away.
    draws : int
        Steps of each chain that are kept.
    seed : int
        Seed of starts and steps.
    """
    import tensorflow as tf
    from tensorflow_probability import mcmc

    started = time.perf_counter()
    posterior = Posterior(emulator, spectra, cholesky, tau)
    mode, factor = (tf.constant(array, tf.float32) for array in posterior.laplace())

    def to_share(v):
        return mode[:, None] + tf.matmul(v, factor, transpose_b=True)

    v = tf.constant(2 * generator(seed).standard_normal((len(spectra), chains, len(PARAMETERS))), tf.float32)
    kernel = mcmc.DualAveragingStepSizeAdaptation(
        mcmc.NoUTurnSampler(lambda v: posterior.log_density(to_share(v)), tf.fill((*v.shape[:2], 1), 0.5), max_tree_depth=7),
        num_adaptation_steps=int(0.8 * burn_in),
        target_accept_prob=0.8,
    )

    @tf.function(jit_compile=False)
    def advance(v, results, key):
        """Go some steps on: all states, which of them diverged, and the last results."""
        return mcmc.sample_chain(
            STEPS_AT_ONCE,
            v,
            previous_kernel_results=results,
            kernel=kernel,
            trace_fn=lambda _, r: r.inner_results.has_divergence,
            return_final_kernel_results=True,
            seed=key,
        )

    results = kernel.bootstrap_results(v)
    kept, diverged = [], []
    burning, sampling = (-(-steps // STEPS_AT_ONCE) for steps in (burn_in, draws))
    for block in track(range(burning + sampling), "NUTS"):
        states, divergences, results = advance(v, results, tf.constant([seed, block], tf.int32))
        v = states[-1]
        if block >= burning:
            kept.append(tf.map_fn(to_share, states))
            diverged.append(divergences)
    share = tf.concat(kept, axis=0)[:draws]
    with quiet_autocorrelation():
        effective = mcmc.effective_sample_size(share, cross_chain_dims=2, filter_beyond_positive_pairs=True).numpy()
    return Chains(
        samples=LOW + (HIGH - LOW) * np.moveaxis(share.numpy(), 0, 2),
        r_hat=mcmc.potential_scale_reduction(tf.transpose(share, (0, 2, 1, 3)), independent_chain_ndims=1).numpy(),
        effective=effective,
        divergent=float(np.mean(diverged)),
        seconds=time.perf_counter() - started,
    )
