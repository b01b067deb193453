"""Posteriors from a likelihood: a flow p(x | theta) learned from simulations, a prior, and the no-U-turn sampler.

Papamakarios, Sterratt & Murray (2019, arXiv:1805.07226); Hoffman & Gelman (2014, arXiv:1111.4246). Chains start where
waste-free sequential Monte Carlo (Dau & Chopin 2022, arXiv:2011.02328) leaves them: draws from the prior are weighed by a power
of the likelihood that rises from 0 to 1, resampled and moved. So each mode gets chains in proportion to its weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from zoo.errors import InputError, warn
from zoo.families.tracing import traced
from zoo.interpret.posteriors.annealed import factor, resampled, risen
from zoo.interpret.posteriors.learned import spec_of, warn_of_a_wider_prior
from zoo.interpret.posteriors.log_prior import log_prior_on_scales
from zoo.interpret.posteriors.mcmc import ACCEPTANCE, Chains, tensorflow_probability
from zoo.interpret.posteriors.mixing import effective_size, nested_limit, nested_r_hat
from zoo.model.handed_in.tables import is_table
from zoo.progress import track
from zoo.seeds import generator

POOL = 500
"""Draws from the prior for each chain."""
BLOCK = 10
"""Steps of all chains in one call of the graph."""
TOGETHER = 2**13
"""Rows of data whose likelihood is computed at once, if no more are asked for."""
KEPT = 4
"""Priors whose compiled steps stay with a likelihood."""
EFFECTIVE = 4.0
"""Effective number of weighed states for each chain that a rise of the power of the likelihood leaves."""
MOST_RISES = 100
"""Rises of the power of the likelihood; each multiplies it a few times."""
FIRST_STEP, GAIN = 0.5, 1.5
"""Step at first, in standard deviations, and how fast its logarithm follows acceptance minus what that is to be."""
MOVING = 0.4
"""Acceptance below which a block of moves is repeated with a smaller step."""
WARM_UP = 4
"""Blocks on the full posterior that are thrown away, in which shape and step settle."""
DEEPEST = 7
"""Most doublings of a path: 128 leapfrog steps."""
DIVERGENT = 0.01
"""Share of divergent steps up to which no warning is given."""


class PriorOnScales(Protocol):
    """A prior, and the scale of each parameter on which it is unbounded."""

    names: list[str]
    scales: list[dict[str, Any]]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw parameters (n, D)."""
        ...

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D)."""
        ...


class Likelihood(Protocol):
    """A conditional density of data, given parameters, as a flow of TensorFlow is."""

    def log_prob(self, x, c=None):
        """Natural logarithm (n,) of the density of x (n, C) given parameters (n, D), a differentiable function of tensors."""
        ...

    def observations(self, x: np.ndarray) -> np.ndarray:
        """One row of data or several, checked, (k, C)."""
        ...


class LikelihoodPosterior:
    """The posterior of parameters whose likelihood is a flow: ``draw(n, x)``, as a flow p(theta | x) has it.

    The first observation costs seconds of compilation, further ones of as many trials none, whoever asks for them: what is
    compiled stays with the flow.

    Parameters
    ----------
    flow : Flow
        A flow p(x | theta), as ``train_nle`` makes it.
    prior : Prior
        Prior of the parameters in the order of the flow's context.
    chains : int
        How many Markov chains run side by side. They share out the modes: the weight w of a mode is known within
        sqrt(w (1 - w) / chains), more or less.

    Raises
    ------
    InputError
        Fewer than 20 chains, or the prior has other parameters than the flow's context, or in another order.
    ZooError
        Without TensorFlow Probability, or if Keras runs on another backend than TensorFlow.
    """

    def __init__(self, flow: Likelihood, prior: PriorOnScales | Mapping[str, Any], *, chains: int = 200) -> None:
        if chains < 20:
            raise InputError(f"expected at least 20 chains, which share out the modes of the posterior, given {chains}")
        if isinstance(prior, Mapping):
            from zoo.data.sbi.priors.as_prior import as_prior

            prior = cast(PriorOnScales, as_prior(prior))
        context = getattr(flow, "context", len(prior.names))
        if context != len(prior.names):
            raise InputError(f"expected a flow p(x | {', '.join(prior.names)}), given one with a context of {context}")
        _expect_names(flow, prior)
        warn_of_a_wider_prior(flow, prior)
        self._moves = _moves_of(flow, prior)
        self.flow, self.prior, self.chains = flow, prior, chains

    def draw(self, n: int, x: Any, seed: int = 0) -> np.ndarray:
        """Draw n samples given one observation, or given each of several: trials of one theta go through ``sample``.

        Parameters
        ----------
        n : int
            Number of samples.
        x : array_like
            One observation, (C,) or by name, or several, (m, C) or a table.
        seed : int
            Seed of all draws.

        Returns
        -------
        ndarray
            Samples of shape (n, D), or (m, n, D) for several observations.
        """
        rows = self.flow.observations(x)
        draws = max(BLOCK, -(-n // self.chains))
        found = [self.sample(row, draws=draws, seed=seed + i) for i, row in enumerate(rows)]
        rng = generator(seed)
        drawn = np.stack([rng.permutation(chains.flat)[:n] for chains in found])
        several = len(rows) > 1 or is_table(x) or np.ndim(x) == 2
        return drawn if several else drawn[0]

    def sample(self, x_o: Any, *, draws: int = 50, seed: int = 0) -> Chains:
        """Run the chains, as `sample_posterior` does."""
        if draws < 4:
            raise InputError(f"expected at least 4 draws of each chain, given {draws}")
        x = self.flow.observations(x_o)
        rng = generator(seed)
        state = self._annealed(x, rng)
        start = state.u
        kept, divergent, accepted = [], [], []
        blocks = -(-draws // BLOCK)
        for block in track(range(WARM_UP + blocks), "no-U-turn sampler"):
            moved = self._moves.block(state, x, rng)
            if block < WARM_UP:
                state = state.after(moved, measured=moved.states.reshape(-1, moved.states.shape[-1]))
                continue
            state = state.after(moved)
            kept.append(moved.states)
            divergent.append(moved.divergent)
            accepted.append(moved.acceptance)
        u = np.concatenate(kept)[:draws]
        chains = self._chains(u, start, state, float(np.mean(accepted)), float(np.mean(divergent)))
        _warn(chains, self.prior.names)
        return chains

    def _annealed(self, x: np.ndarray, rng: np.random.Generator) -> _State:
        """Chains that are spread as the posterior is."""
        u = self._moves.unbounded(self.prior.sample(POOL * self.chains, rng))
        log_likelihood = self._moves.log_likelihood(u, x, self.chains)
        if not np.isfinite(log_likelihood).any():
            raise InputError(f"x_o: its likelihood is zero at every one of {len(u):,} draws from the prior")
        power, step = 0.0, FIRST_STEP
        for _ in range(MOST_RISES):
            power, weight = risen(log_likelihood, power, EFFECTIVE * self.chains)
            u = u[resampled(u, weight, self.chains, rng)]
            state = _State(u, factor(u), step, power)
            if power == 1.0:
                return state
            moved = self._moves.block(state, x, rng)
            for _ in range(5):
                if moved.acceptance > MOVING:
                    break
                state = state.after(moved, tuned=True)
                moved = self._moves.block(state, x, rng)
            step = state.after(moved, tuned=True).step
            u = moved.states.reshape(-1, u.shape[1])
            log_likelihood = self._moves.log_likelihood(u, x, self.chains)
        raise InputError(
            f"x_o: after {MOST_RISES} rises of the likelihood's power from 0 to 1, it is at {power:.2g}: x_o is far from all"
            " simulations, or trials are so many that single precision does not resolve their likelihood"
        )

    def _chains(self, u: np.ndarray, start: np.ndarray, state: _State, acceptance: float, divergent: float) -> Chains:
        return Chains(
            samples=self._moves.physical(u),
            local_acceptance=acceptance,
            global_acceptance=float("nan"),
            r_hat=nested_r_hat(u, start),
            ess=effective_size(self._moves.tfp, u),
            step_size=state.step,
            scale=np.sqrt(np.sum(state.factor**2, axis=1)),
            flow=None,
            divergent=divergent,
        )


def sample_posterior(
    flow: Likelihood,
    prior: PriorOnScales | Mapping[str, Any],
    x_o: Any,
    *,
    draws: int = 50,
    chains: int = 200,
    seed: int = 0,
) -> Chains:
    """Sample p(theta | x_o), which is proportional to p(x_o | theta) p(theta).

    Parameters
    ----------
    flow : Flow
        A flow p(x | theta), as ``train_nle`` makes it.
    prior : Prior or mapping
        Prior of the parameters in the order of the flow's context, or what ``as_prior`` takes as one.
    x_o : array_like
        What was observed, (C,) or by name, or k independent trials at one theta, (k, C), whose log likelihoods add up.
    draws : int
        Kept states of each chain.
    chains : int
        How many Markov chains run side by side.
    seed : int
        Seed of all draws.

    Returns
    -------
    Chains
        Physical parameters in ``samples`` (draws, chains, D) and ``flat`` (draws x chains, D). R-hat, the nested one of many
        short chains, effective sample size and ``scale`` are those of the unbounded scales.

    Raises
    ------
    InputError
        x_o is no data of the flow's, no whole number of a count, or impossible under it; too few chains or draws; a prior of
        other parameters.
    ZooError
        Without TensorFlow Probability, or if Keras runs on another backend than TensorFlow.

    Examples
    --------
    >>> chains = sample_posterior(flow, prior, [0.4])  # doctest: +SKIP
    >>> chains.flat.mean(axis=0)  # doctest: +SKIP
    """
    return LikelihoodPosterior(flow, prior, chains=chains).sample(x_o, draws=draws, seed=seed)


def _expect_names(flow: Likelihood, prior: PriorOnScales) -> None:
    """Refuse a prior of other parameters than those that a likelihood was trained on, or of these in another order."""
    spec = spec_of(flow)
    names = None if spec is None else spec.endpoint("log_prob").inputs[1].labels
    if names is not None and list(names) != list(prior.names):
        raise InputError(
            f"expected a prior of {', '.join(names)}, in the order of the likelihood's training, given one of"
            f" {', '.join(prior.names)}: name its laws so"
        )


@dataclass(frozen=True, eq=False)
class _Moved:
    """States (BLOCK, chains, D) of a block of steps, their mean acceptance and the share that diverged."""

    states: np.ndarray
    acceptance: float
    divergent: float


@dataclass(frozen=True, eq=False)
class _State:
    """Unbounded parameters (chains, D), a factor (D, D) of their covariance, the step, and the power of the likelihood."""

    u: np.ndarray
    factor: np.ndarray
    step: float
    power: float = 1.0

    def after(self, moved: _Moved, *, measured: np.ndarray | None = None, tuned: bool = False) -> _State:
        """Go on from the last states; with the step and the covariance of ``measured`` rows where they are to be adapted."""
        tuned = tuned or measured is not None
        step = self.step * float(np.exp(GAIN * (moved.acceptance - ACCEPTANCE))) if tuned else self.step
        return _State(moved.states[-1], self.factor if measured is None else factor(measured), step, self.power)


def _moves_of(flow: Likelihood, prior: PriorOnScales) -> _Moves:
    """The steps for a likelihood and a prior, which take far longer to compile than to run and so stay with the likelihood."""
    known: dict[Any, _Moves] = vars(flow).setdefault("_moves_of_priors", {})
    plain = getattr(prior, "plain", None)
    # Independent laws are told by their numbers. What else a prior may be made of is not known, so that it is only itself.
    key = repr(plain()) if plain is not None and hasattr(prior, "laws") else id(prior)
    if key not in known:
        if len(known) == KEPT:
            del known[next(iter(known))]
        known[key] = _Moves(flow, prior)
    return known[key]


class _Moves:
    """Steps of the no-U-turn sampler on unbounded scales, all chains at once."""

    def __init__(self, flow: Likelihood, prior: PriorOnScales) -> None:
        self.tfp = tfp = tensorflow_probability("sampling from a likelihood")
        import tensorflow as tf

        from zoo.families.flows.scales import Maps

        maps = Maps(prior.scales)
        log_prior, compiles = log_prior_on_scales(prior, maps)
        dimensions = len(prior.names)

        def log_likelihood(u, x):
            n, k = tf.shape(u)[0], x.shape[0]
            theta = tf.repeat(maps.from_base(u), k, axis=0)
            value = tf.reduce_sum(tf.reshape(flow.log_prob(tf.tile(x, (n, 1)), theta), (n, k)), axis=1)
            value = tf.cast(value, tf.float32)
            return tf.where(tf.math.is_nan(value), -np.inf, value)

        def block(u, factor, step, power, x, seed):
            def target(whitened):
                at = tf.matmul(whitened, factor, transpose_b=True)
                return power * log_likelihood(at, x) + log_prior(at)

            def trace(_, results):
                return tf.reduce_mean(tf.exp(tf.minimum(results.log_accept_ratio, 0.0))), results.has_divergence

            kernel = tfp.mcmc.NoUTurnSampler(target, step, max_tree_depth=DEEPEST)
            whitened = tf.transpose(tf.linalg.triangular_solve(factor, tf.transpose(u)))
            states, (acceptance, divergent) = tfp.mcmc.sample_chain(BLOCK, whitened, kernel=kernel, trace_fn=trace, seed=seed)
            states = tf.reshape(tf.matmul(tf.reshape(states, (-1, dimensions)), factor, transpose_b=True), tf.shape(states))
            return states, tf.reduce_mean(acceptance), tf.reduce_mean(tf.cast(divergent, tf.float32))

        self.maps, self.prior = maps, prior  # which is held, so that no other can have its place in memory
        self._log_likelihood = traced(log_likelihood, reduce_retracing=True, autograph=False)  # XLA takes longer than it saves
        self._block = traced(block, jit_compile=compiles, autograph=False)

    def block(self, state: _State, x: np.ndarray, rng: np.random.Generator) -> _Moved:
        """A block of steps."""
        numbers = (state.u, state.factor, state.step, state.power)
        seed = rng.integers(2**31, size=2).astype(np.int32)
        states, acceptance, divergent = self._block(*(self._tensor(value) for value in numbers), self._observed(x), seed)
        return _Moved(states.numpy(), float(acceptance), float(divergent))

    def log_likelihood(self, u: np.ndarray, x: np.ndarray, least: int) -> np.ndarray:
        """Logarithm of the likelihood (n,) at parameters (n, D), at least so many at once."""
        observed, rows = self._observed(x), max(least, TOGETHER // len(x))
        parts = [u[start : start + rows] for start in range(0, len(u), rows)]
        found = [self._log_likelihood(self._tensor(part), observed).numpy() for part in parts]
        return np.concatenate(found).astype(np.float64)

    def unbounded(self, theta: np.ndarray) -> np.ndarray:
        """Parameters (n, D) on their unbounded scales."""
        return np.asarray(self.maps.to_base(theta)[0], np.float32)

    def physical(self, u: np.ndarray) -> np.ndarray:
        """Parameters of unbounded ones, float64."""
        return np.asarray(self.maps.from_base(u))

    def _tensor(self, value: np.ndarray | float):
        import tensorflow as tf

        return tf.constant(value, tf.float32)

    def _observed(self, x: np.ndarray):
        import tensorflow as tf

        return tf.constant(x)


def _warn(chains: Chains, names: list[str]) -> None:
    """Say what in the chains is not as it should be."""
    if chains.divergent > DIVERGENT:
        share = f"{chains.divergent:.1%}"
        warn(f"{share} of the steps diverged: the likelihood has edges or cusps, near which draws may be missing")
    worst = int(np.argmax(chains.r_hat))
    limit = nested_limit(chains.samples.shape[1])
    if not chains.r_hat[worst] <= limit:
        warn(
            f"the chains of {names[worst]} do not mix, R-hat {chains.r_hat[worst]:.2f}, of mixed ones {limit:.2f} at most: the"
            " posterior has separate modes, whose weights are then those that the chains started with, good to a few per cent,"
            " or more draws are due"
        )
