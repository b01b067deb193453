"""Jets as rows: the particles of each, padded when they are asked for, and its class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np

from zoo.data.dataset import Rows, Split, groups, register_dataset
from zoo.data.jets.clouds import clouds
from zoo.data.jets.packed import Jets, joined
from zoo.data.jets.samples import jet_config
from zoo.data.jets.storage import OnMissing, cached_jets, event_numbers, load_folder, simulator
from zoo.errors import InputError
from zoo.model.axes import Axis
from zoo.seeds import generator


@register_dataset("jets")
class JetClouds:
    """Particles of jets, and the class of each jet: what it comes from.

    Inputs are ``particles`` (n, particle, 3), ``identity`` (n, particle) and ``real`` (n, particle), padded to the longest of
    the jets that are asked for, so that a batch is as wide as its own jets. Splits share no file, and so no event. Where
    events have weights, rows have them, with a mean of 1 in each class of a split.

    Parameters
    ----------
    sample : str
        Name of a sample, as ``zoo simulate jets`` takes it.
    shower : str
        Its shower.
    train, validation, test : int
        Number of files in each split; their seeds count on from split to split.
    first_seed : int
        Seed of the first file.
    training_jets : int, optional
        Number of training jets, drawn once from those of the files; of two numbers, the larger holds the jets of the smaller.
        All by default.
    identity : bool
        Whether what each particle is is an input.
    seed : int
        Seed of that draw.
    path : str, optional
        Folder of the files; by default one of the cache, for each config its own.
    on_missing : {"simulate", "fail"}
        Whether files that are missing are made, or an error names all of them.
    **changes : object
        Fields of `JetConfig` that differ from the sample's.

    Raises
    ------
    InputError
        Sizes are not those of splits, or fewer training jets are there than asked for.
    """

    fields = ("particle-physics", "jets")
    units: ClassVar[dict[str, str]] = {"mass": "GeV", "multiplicity": "1", "pt": "GeV", "abs_y": "1", "parton_pt": "GeV"}

    def __init__(
        self,
        sample: str = "quark-gluon",
        shower: str = "default",
        train: int = 200,
        validation: int = 10,
        test: int = 50,
        first_seed: int = 0,
        training_jets: int | None = None,
        identity: bool = True,
        seed: int = 0,
        path: str | None = None,
        on_missing: OnMissing = "simulate",
        **changes,
    ) -> None:
        if on_missing not in get_args(OnMissing):
            raise InputError(f"on_missing: expected {', '.join(get_args(OnMissing))}, given {on_missing}")
        self.config = jet_config(sample, shower, **changes)
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.first_seed, self.training_jets, self.identity, self.seed = first_seed, training_jets, identity, seed
        self.folder = cached_jets(self.config) if path is None else Path(path)
        self.on_missing = on_missing
        self.description = f"particles of anti-kt jets at particle level, {' or '.join(self.config.classes)}"
        self.simulator = f"{simulator()}, {sample}, shower {shower}"
        self._made: dict[Split, Rows] = {}

    @property
    def axes(self) -> dict[str, Axis]:
        """What is known of each particle, and the classes."""
        momentum = Axis(name="momentum", size=3, labels=["pt", "y", "phi"], units=["GeV", "1", "rad"])
        return {"momentum": momentum, "class": Axis(name="class", size=len(self.config.classes), labels=self.config.classes)}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        if split not in self._made:
            seeds = [self.first_seed + int(number) for number in groups(self.sizes, split)]
            parts = load_folder(self.folder, self.config, seeds, self.on_missing)
            event = event_numbers(parts, seeds)
            jets = joined(parts)
            chosen = self._chosen(len(jets)) if split == "train" else np.arange(len(jets))
            self._made[split] = self._rows(self.inputs(parts, jets, chosen), jets, event, chosen)
        return self._made[split]

    def inputs(self, parts: Sequence[Jets], jets: Jets, chosen: np.ndarray) -> dict[str, Any]:
        """Inputs of the chosen ones of all jets, which are those of the files one after another."""
        inputs = clouds(jets, chosen)
        return inputs if self.identity else {name: tensor for name, tensor in inputs.items() if name != "identity"}

    def _chosen(self, n: int) -> np.ndarray:
        """Which of the jets of the training files are rows."""
        if self.training_jets is None:
            return np.arange(n)
        if not 0 < self.training_jets <= n:
            raise InputError(f"training_jets: expected 1 to {n}, as the files have, given {self.training_jets}")
        return np.sort(generator(self.seed).permutation(n)[: self.training_jets])

    def _rows(self, inputs: dict[str, Any], jets: Jets, event: np.ndarray, chosen: np.ndarray) -> Rows:
        """Rows of some jets."""
        pt, y, _, mass = jets.momentum[chosen].T.astype(np.float64)
        return Rows(
            inputs=inputs,
            target=jets.label[chosen, None].astype(np.float32),
            group=event[chosen],
            truth={
                "mass": mass,
                "multiplicity": jets.counts[chosen].astype(np.float64),
                "pt": pt,
                "abs_y": np.abs(y),
                "parton_pt": jets.parton_pt[chosen].astype(np.float64),
            },
            weight=even_weights(jets.label, jets.weight)[chosen] if self.config.bias else None,
        )


def even_weights(label: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights (n,) whose mean is 1 in each class, as Pythia's have a scale of their own in each process."""
    total = np.bincount(label, weight)
    return weight * (np.bincount(label) / np.where(total > 0, total, 1))[label]
