"""Events of two jets and a hypothesis about the mass of the resonance that they come from, for one classifier of all masses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.data.jets.dataset import even_weights
from zoo.data.jets.dijets import UNITS, of_files
from zoo.data.jets.packed import joined
from zoo.data.jets.samples import jet_config
from zoo.data.jets.storage import OnMissing, cached_jets, event_numbers, load_folder, simulator
from zoo.errors import InputError
from zoo.model.axes import Axis
from zoo.seeds import generator


@register_dataset("dijet-masses")
class DijetMasses:
    """Events of two jets, signal at several masses and one background, each with a hypothesis of the mass (arXiv:1601.07913).

    Inputs are ``event`` (n, observable) and ``mass`` (n, 1), the hypothesis in GeV: of signal its own mass; of background in
    training one that is drawn from those of the signal, anew each epoch. Test rows hold signal at each of the test masses and
    all of the test files' background under each of these hypotheses, an event being one group whatever its hypotheses.

    Background events are drawn more often by the given power of their transverse momentum, so that there are some at all
    masses. Rows do not have the weights that make up for it, by which a classifier would learn heavy masses from a handful of
    events: what is classified is that mixture, and the weights stand among the truths, as ``event_weight`` of mean 1.

    Files of a mass M in GeV have the seeds from M on, since Pythia makes the same background of the same seed at any mass.

    Parameters
    ----------
    masses : sequence of float
        Masses of W' in GeV, whole numbers, of the training and validation rows.
    test_masses : sequence of float, optional
        Those of the test rows; the same by default.
    background_masses : sequence of float, optional
        Masses whose files the training and validation background is from; those of the signal by default.
    train, validation, test : int
        Number of files of each mass in each split.
    events : int
        Events of each class in a file.
    bias : float
        Power of the transverse momentum by which background is drawn more often.
    hypothesis : bool
        Whether the mass is an input.
    weighted : bool
        Whether training and validation rows have the weights, of mean 1 in each class.
    seed : int
        Seed of the hypotheses of the background.
    on_missing : {"simulate", "fail"}
        Whether files that are missing are made, or an error names all of them.

    Raises
    ------
    InputError
        Masses are nearer to each other than a mass has files, or no whole numbers.
    """

    fields = ("particle-physics", "jets")
    units: ClassVar[dict[str, str]] = {"mass": "GeV", "m_jj": "GeV", "event_weight": "1"}

    def __init__(
        self,
        masses: Sequence[float],
        test_masses: Sequence[float] | None = None,
        background_masses: Sequence[float] | None = None,
        train: int = 3,
        validation: int = 1,
        test: int = 1,
        events: int = 1000,
        bias: float = 6,
        hypothesis: bool = True,
        weighted: bool = False,
        seed: int = 0,
        on_missing: OnMissing = "simulate",
    ) -> None:
        self.masses = sorted(masses)
        self.test_masses = sorted(masses if test_masses is None else test_masses)
        self.background_masses = sorted(masses if background_masses is None else background_masses)
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.hypothesis, self.weighted, self.seed, self.on_missing = hypothesis, weighted, seed, on_missing
        every = sorted({*self.masses, *self.test_masses, *self.background_masses})
        if any(mass != int(mass) for mass in every) or any(b - a < sum(self.sizes.values()) for a, b in pairwise(every)):
            raise InputError(
                f"masses: expected whole numbers of GeV that are at least {sum(self.sizes.values())} apart, as each has so many"
                f" files, given {every}"
            )
        self.configs = {mass: jet_config("resonance", mass=mass, jets=events, bias=bias) for mass in every}
        self.description = (
            "observables of events of two jets at particle level, QCD drawn about evenly in transverse momentum or W' -> X Y,"
            " and a hypothesis of the mass of W'"
        )
        self.simulator = f"{simulator()}, resonance"
        self._files: dict[tuple[float, Split], _Events] = {}

    @property
    def axes(self) -> dict[str, Axis]:
        """The names and units of the observables."""
        return {"observable": Axis(name="observable", size=len(UNITS), labels=list(UNITS), units=list(UNITS.values()))}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        if split == "test":
            return self._test_rows()
        signal = [self._events(mass, split).of(1) for mass in self.masses]
        background = _together([self._events(mass, split).of(0) for mass in self.background_masses])
        rng = generator([self.seed, ("train", "validation").index(split), epoch if split == "train" else 0])
        own = [np.full(len(part), mass) for part, mass in zip(signal, self.masses, strict=True)]
        drawn = rng.choice(np.asarray(self.masses, float), len(background))
        return self._rows([background, *signal], [drawn, *own], self.weighted)

    def _test_rows(self) -> Rows:
        background = _together([self._events(mass, "test").of(0) for mass in self.test_masses])
        parts, hypotheses = [], []
        for mass in self.test_masses:
            for part in (background, self._events(mass, "test").of(1)):
                parts.append(part)
                hypotheses.append(np.full(len(part), mass, float))
        return self._rows(parts, hypotheses, False)

    def _rows(self, parts: list[_Events], hypotheses: list[np.ndarray], weighted: bool) -> Rows:
        events, mass = _together(parts), np.concatenate(hypotheses)
        inputs: dict[str, Any] = {"event": events.observables.astype(np.float32)}
        if self.hypothesis:
            inputs["mass"] = mass[:, None].astype(np.float32)
        weight = even_weights(events.label, events.weight)
        return Rows(
            inputs=inputs,
            target=events.label[:, None].astype(np.float32),
            group=events.number,
            truth={"mass": mass, "m_jj": events.observables[:, list(UNITS).index("m_jj")], "event_weight": weight},
            weight=weight if weighted else None,
        )

    def _events(self, mass: float, split: Split) -> _Events:
        if (mass, split) not in self._files:
            config = self.configs[mass]
            seeds = [int(mass) + int(number) for number in groups(self.sizes, split)]
            parts = load_folder(cached_jets(config), config, seeds, self.on_missing)
            self._files[mass, split] = _Events.of_files(parts, seeds, config.radius)
        return self._files[mass, split]


class _Events:
    """Observables (n, observable), class, weight and number of events."""

    def __init__(self, observables: np.ndarray, label: np.ndarray, weight: np.ndarray, number: np.ndarray) -> None:
        self.observables, self.label, self.weight, self.number = observables, label, weight, number

    @classmethod
    def of_files(cls, parts: Sequence, seeds: Sequence[int], radius: float) -> _Events:
        event, jets = of_files(parts, radius), joined(parts)
        observables = np.stack([event[name] for name in UNITS], axis=1)
        return cls(observables, jets.label[0::2].astype(int), jets.weight[0::2], event_numbers(parts, seeds)[0::2])

    def __len__(self) -> int:
        return len(self.label)

    def of(self, label: int) -> _Events:
        """Those of a class."""
        chosen = self.label == label
        return _Events(self.observables[chosen], self.label[chosen], self.weight[chosen], self.number[chosen])


def _together(parts: Sequence[_Events]) -> _Events:
    arrays = [[getattr(part, name) for part in parts] for name in ("observables", "label", "weight", "number")]
    return _Events(*map(np.concatenate, arrays))
