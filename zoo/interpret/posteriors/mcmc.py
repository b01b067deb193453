"""Flow-assisted MCMC: local moves of Hamiltonian Monte Carlo, global moves proposed by a flow that learns from the chains.

Gabrié, Rotskoff & Vanden-Eijnden (2022, arXiv:2105.12603); Wong, Gabrié & Foreman-Mackey (2023, arXiv:2211.06397). Chains
that sit in different modes teach the flow where the modes are; independence Metropolis steps with the flow as proposal then
carry chains between them, as often as the weights of the modes demand.

What it cannot do: find a mode that no chain has been to. The initial positions must lie in the basins of all modes: take many
chains and draw them from the prior, wide, and do not start them at one optimum. R-hat does not see what all chains miss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import InputError, ZooError
from zoo.families.tracing import traced
from zoo.interpret.posteriors.mixing import effective_size, split_r_hat
from zoo.progress import track
from zoo.seeds import generator

BATCH = 512
ACCEPTANCE = 0.8
"""Acceptance that the step of the local moves is tuned to: more than the 0.65 of one Gaussian, since basins differ."""


@dataclass(frozen=True, eq=False)
class Chains:
    """States of Markov chains after all adaptation.

    Attributes
    ----------
    samples : ndarray
        The kept states, of shape (draws, chains, D).
    local_acceptance : float
        Fraction of Hamiltonian moves accepted.
    global_acceptance : float
        Fraction of the flow's proposals accepted, NaN without global moves.
    r_hat : ndarray
        Potential scale reduction of split chains (Gelman & Rubin 1992; Vehtari et al. 2021), below 1.01 when mixed, or the
        nested one of many short chains, a few hundredths above 1; of shape (D,).
    ess : ndarray
        Effective sample size of all chains together, of shape (D,).
    step_size : float
        Step of the Hamiltonian moves, in units of ``scale``.
    scale : ndarray
        Standard deviation within the basins, measured in the warm-up, of shape (D,).
    flow : object
        The trained proposal, None without global moves.
    divergent : float
        Fraction of moves that diverged, NaN where that is not measured.
    """

    samples: np.ndarray
    local_acceptance: float
    global_acceptance: float
    r_hat: np.ndarray
    ess: np.ndarray
    step_size: float
    scale: np.ndarray
    flow: Any
    divergent: float = float("nan")

    @property
    def flat(self) -> np.ndarray:
        """Samples of all chains, of shape (draws x chains, D)."""
        return self.samples.reshape(-1, self.samples.shape[-1])


def flow_mcmc(
    target_log_prob: Callable[[Any], Any],
    initial: np.ndarray,
    flow: Any = None,
    *,
    draws: int = 1000,
    warmup: int = 400,
    rounds: int = 20,
    local_steps: int = 10,
    global_steps: int = 10,
    leapfrog_steps: int = 10,
    train_steps: int = 100,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> Chains:
    """Sample a density that may have several modes.

    Warm-up: local moves alone, which tune their step by dual averaging (Hoffman & Gelman 2014). Rounds: local moves, training
    of the flow on the later half of all states so far, global moves. Then flow and step are frozen, so that the kept states
    are those of an ordinary Markov chain whose every move leaves the target invariant.

    Parameters
    ----------
    target_log_prob : callable
        A TensorFlow function from float32 points (n, D) to the logarithm of the density (n,) up to a constant,
        differentiable; minus infinity outside the support.
    initial : ndarray
        Starts of shape (chains, D) where the density is not zero; in the basin of every mode (see the module), tens of chains
        or more.
    flow : Flow
        Unconditional flow over D variables: one already trained is trained further, in place; by default a new spline flow.
    draws : int
        Kept states of each chain.
    warmup : int
        Local moves before the first global one.
    rounds : int
        Rounds of training.
    local_steps, global_steps : int
        Moves in each round and in each cycle of the kept states; none of the latter is plain Hamiltonian Monte Carlo, without
        a flow.
    leapfrog_steps : int
        Steps of each local move.
    train_steps : int
        Gradient steps of the flow in each round, on batches of 512.
    learning_rate : float
        Learning rate of Adam.
    seed : int
        Seed of moves and batches.

    Raises
    ------
    InputError
        Initial positions of another shape, or where the density is zero or not a number; a flow of other variables; counts
        that are too small.
    ZooError
        Without TensorFlow Probability, or if Keras runs on another backend than TensorFlow.
    """
    initial = _initial(initial)
    counts = {"draws": draws, "warmup": warmup // 20, "local_steps": local_steps, "leapfrog_steps": leapfrog_steps}
    if small := [name for name, value in counts.items() if value < 1] + ["global_steps"] * (global_steps < 0):
        raise InputError(f"expected warmup of 20 and more, other counts positive; too small: {', '.join(small)}")
    tfp = tensorflow_probability("flow-assisted MCMC")
    rng = generator(seed)
    local = _Local(tfp, target_log_prob, local_steps, leapfrog_steps, rng)
    _check_start(target_log_prob, initial)

    history = [local.warm_up(initial, warmup)]
    state = history[-1][-1]
    proposal = None
    if global_steps:
        flow = _flow(flow, history[0].reshape(-1, initial.shape[1]), seed)
        proposal = _Global(flow, target_log_prob, global_steps, learning_rate, rng)
    cycles = -(-draws // (local_steps + global_steps))
    stages = (["adapt"] * rounds if proposal else []) + ["keep"] * cycles
    kept: list[np.ndarray] = []
    accepted: dict[str, list[float]] = {"local": [], "global": []}
    for stage in track(stages, "flow-assisted MCMC" if proposal else "Hamiltonian Monte Carlo"):
        states, local_accepted = local.move(state)
        if proposal:
            if stage == "adapt":
                history.append(states)
                proposal.train(np.concatenate(history[len(history) // 2 :]).reshape(-1, initial.shape[1]), train_steps)
            moved, global_accepted = proposal.move(states[-1])
            states = np.concatenate([states, moved])
        state = states[-1]
        if stage == "keep":
            kept.append(states)
            accepted["local"].append(local_accepted)
            if proposal:
                accepted["global"].append(global_accepted)
        else:
            history[-1] = states
    samples = np.concatenate(kept)[:draws]
    return Chains(
        samples=samples,
        local_acceptance=float(np.mean(accepted["local"])),
        global_acceptance=float(np.mean(accepted["global"])) if proposal else float("nan"),
        r_hat=split_r_hat(tfp, samples),
        ess=effective_size(tfp, samples),
        step_size=local.step,
        scale=local.scale,
        flow=flow if proposal else None,
    )


class _Local:
    """Hamiltonian moves in coordinates that are divided by ``scale``, all chains at once."""

    def __init__(self, tfp: Any, target: Callable[[Any], Any], steps: int, leapfrog: int, rng: np.random.Generator) -> None:

        self.rng, self.step = rng, 0.1

        def kernel(scale, step):
            return tfp.mcmc.HamiltonianMonteCarlo(lambda y: target(y * scale), step_size=step, num_leapfrog_steps=leapfrog)

        def move(x, scale, step, seed):
            states, accepted = tfp.mcmc.sample_chain(
                steps, x / scale, kernel=kernel(scale, step), trace_fn=lambda _, results: results.is_accepted, seed=seed
            )
            return states * scale, accepted

        def tune(x, scale, step, seed, count):
            tuned = tfp.mcmc.DualAveragingStepSizeAdaptation(
                kernel(scale, step), num_adaptation_steps=count - 1, target_accept_prob=ACCEPTANCE
            )
            states, _, final = tfp.mcmc.sample_chain(
                count, x / scale, kernel=tuned, trace_fn=lambda *_: (), return_final_kernel_results=True, seed=seed
            )
            return states * scale, final.new_step_size

        self._move, self._tune = traced(move, reduce_retracing=True), traced(tune, reduce_retracing=True)

    def warm_up(self, initial: np.ndarray, count: int) -> np.ndarray:
        """Tune step and scale; (count // 4, chains, D), the last states."""
        self.scale = initial.std(axis=0)
        self.scale[self.scale == 0] = 1.0
        states = self._tuned(initial, count // 2)
        within = np.median(states[count // 4 :].std(axis=0), axis=0)  # the spread of the start is not that within a basin
        within = np.where(within > 0, within, self.scale)
        self.step *= float(np.exp(np.mean(np.log(self.scale / within))))
        self.scale = within
        return self._tuned(states[-1], count // 2)[-(count // 4) :]

    def _tuned(self, x: np.ndarray, count: int) -> np.ndarray:
        states, step = self._tune(x, self.scale, np.array(self.step, np.float32), self._seed(), np.array(count, np.int32))
        self.step = float(step)
        return states.numpy()

    def move(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """States (steps, chains, D) from x (chains, D), and the fraction of moves accepted."""
        states, accepted = self._move(x, self.scale, np.array(self.step, np.float32), self._seed())
        return states.numpy(), float(accepted.numpy().mean())

    def _seed(self) -> np.ndarray:
        return self.rng.integers(2**31, size=2).astype(np.int32)


class _Global:
    """Independence Metropolis moves: x' ~ q, accepted with probability min(1, p(x') q(x) / (p(x) q(x')))."""

    def __init__(
        self, flow: Any, target: Callable[[Any], Any], steps: int, learning_rate: float, rng: np.random.Generator
    ) -> None:
        import keras
        import tensorflow as tf

        self.flow, self.steps, self.rng = flow, steps, rng
        optimizer = keras.optimizers.Adam(learning_rate, clipnorm=5.0)
        optimizer.build(flow.trainable_variables)

        def log_weight(x):
            return target(x) - flow.log_prob(x)

        def propose(z):
            x = flow.sample(z)
            return x, log_weight(x)

        def train(batches):
            for x in batches:
                with tf.GradientTape() as tape:
                    loss = -tf.reduce_mean(flow.log_prob(x))
                optimizer.apply(tape.gradient(loss, flow.trainable_variables), flow.trainable_variables)

        graphs = (traced(function, reduce_retracing=True) for function in (propose, train, log_weight))
        self._propose, self._train, self._log_weight = graphs

    def train(self, rows: np.ndarray, steps: int) -> None:
        """Maximize the likelihood of the rows (n, D)."""
        if steps:
            self._train(rows[self.rng.integers(len(rows), size=(steps, BATCH))])

    def move(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """States (steps, chains, D) from x (chains, D), and the fraction of moves accepted."""
        chains, dimensions = x.shape
        z = self.rng.standard_normal((self.steps * chains, dimensions), dtype=np.float32)
        proposed, weight = (value.numpy() for value in self._propose(z))
        usable = np.isfinite(proposed).all(axis=1)
        weight = np.where(usable & ~np.isnan(weight), weight, -np.inf).reshape(self.steps, chains)
        proposed = proposed.reshape(self.steps, chains, dimensions)
        threshold = np.log(self.rng.random((self.steps, chains)))
        states, current, taken = np.empty_like(proposed), self._log_weight(x).numpy(), 0
        for k in range(self.steps):
            accept = threshold[k] < weight[k] - current
            x = np.where(accept[:, None], proposed[k], x)
            current = np.where(accept, weight[k], current)
            states[k], taken = x, taken + accept.sum()
        return states, taken / accept.size / self.steps


def _initial(initial: np.ndarray) -> np.ndarray:
    initial = np.array(initial, dtype=np.float32)
    if initial.ndim != 2 or not initial.size or not np.isfinite(initial).all():
        raise InputError(f"initial: expected finite positions (chains, D), given shape {initial.shape}")
    return initial


def _check_start(target: Callable[[Any], Any], initial: np.ndarray) -> None:
    value = np.asarray(target(initial))
    if value.shape != (len(initial),):
        raise InputError(f"target_log_prob: expected shape {(len(initial),)} for {initial.shape}, given {value.shape}")
    if not np.isfinite(value).all():
        raise InputError(
            f"initial: the density is zero or not a number at {np.count_nonzero(~np.isfinite(value))} of {len(value)}"
            " positions; start all chains inside its support"
        )


def _flow(flow: Any, rows: np.ndarray, seed: int) -> Any:
    """The given flow, or a new one standardized on the rows."""
    dimensions = rows.shape[1]
    if flow is None:
        from zoo.families.state import apart
        from zoo.model.registry import get_family

        with apart(seed):
            flow = get_family("nsf")(dimensions=dimensions, transforms=4, hidden=[64, 64], autoregressive=dimensions == 1)
        flow.adapt({"x": rows}, np.zeros((len(rows), 1), np.float32))
    if flow.dimensions != dimensions or flow.context:
        raise InputError(f"flow: expected {dimensions} variables and no context, given {flow.dimensions} and {flow.context}")
    if flow.precision(0) != "float32":
        raise InputError("flow: its variables have scales in double precision, chains move in single: give one without scales")
    return flow


def tensorflow_probability(what: str) -> Any:
    """TensorFlow Probability, for ``what`` needs it; ZooError where there is none, or Keras runs on another backend."""
    try:
        import tensorflow_probability as tfp
    except ImportError as error:
        raise ZooError(f"{what} needs TensorFlow Probability and tf-keras ({error}): pip install 'physzoo[mcmc]'") from error
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        raise ZooError(f"{what} runs on TensorFlow, Keras runs on {backend}: set KERAS_BACKEND=tensorflow")
    return tfp
