"""W' -> X Y hidden among QCD: events of two jets as searches for anomalies see them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from zoo.data.dataset import Events, Rows, Split, groups, register_dataset
from zoo.data.jets.dijets import of_files
from zoo.data.jets.samples import jet_config
from zoo.data.jets.storage import OnMissing, cached_jets, event_numbers, load_folder, simulator
from zoo.errors import InputError
from zoo.model.axes import Axis
from zoo.seeds import generator

Region = Literal["sidebands", "signal"]
OBSERVABLES = {"m_j1": "GeV", "delta_m": "GeV", "tau21_j1": "1", "tau21_j2": "1"}
"""What a search looks at, with units: mass of the lighter jet, how much heavier the other is, and tau21 of both."""


def search_observables(event: dict[str, np.ndarray]) -> np.ndarray:
    """Observables in which a resonance of two-pronged jets stands out (arXiv:2001.04990).

    Parameters
    ----------
    event : dict of str to ndarray
        What `dijets` gives, (events,) each.

    Returns
    -------
    ndarray of shape (events, 4)
        Those named in `OBSERVABLES`, in float32.
    """
    mass, tau21 = (np.stack([event[f"{name}_{number}"] for number in (1, 2)], axis=1) for name in ("mass", "tau21"))
    order = np.argsort(mass, axis=1, kind="stable")
    (light, heavy), (of_light, of_heavy) = (np.take_along_axis(one, order, axis=1).T for one in (mass, tau21))
    return np.stack([light, heavy - light, of_light, of_heavy], axis=1).astype(np.float32)


@register_dataset("dijet-anomaly")
class DijetAnomaly:
    """Observables of events of two jets, given the mass of both together: rows of a conditional density.

    Inputs are ``x`` (n, 4), the observables, and ``m_jj`` (n, 1). Training and validation rows lie in the sidebands, or in the
    signal region. Test rows lie in the signal region, where a density that was trained beside it is wanted. All of them are
    background; `observed` has events among which a signal is hidden. Splits share no file.

    Parameters
    ----------
    train, validation, test : int
        Number of files of the sample "resonance" in each split; their seeds count on from split to split.
    first_seed : int
        Seed of the first file.
    region : {"sidebands", "signal"}
        Where training and validation rows lie.
    signal_region, sidebands : list of float
        Ends in m_jj [GeV] of the signal region, and of all that is looked at.
    seed : int
        Seed of the draw of signal events.
    path : str, optional
        Folder of the files; by default that of the cache.
    on_missing : {"simulate", "fail"}
        Whether files that are missing are made, or an error names all of them.

    Raises
    ------
    InputError
        Regions are not one within the other, or another word is expected.
    """

    fields = ("particle-physics", "jets")
    units: ClassVar[dict[str, str]] = {**OBSERVABLES, "m_jj": "GeV"}
    names: ClassVar[tuple[str, ...]] = tuple(OBSERVABLES)
    mass_unit: ClassVar[str] = "GeV"

    def __init__(
        self,
        train: int = 24,
        validation: int = 2,
        test: int = 8,
        first_seed: int = 0,
        region: Region = "sidebands",
        signal_region: tuple[float, float] = (3300.0, 3700.0),
        sidebands: tuple[float, float] = (2600.0, 5000.0),
        seed: int = 0,
        path: str | None = None,
        on_missing: OnMissing = "simulate",
    ) -> None:
        for name, given, known in (("region", region, Region), ("on_missing", on_missing, OnMissing)):
            if given not in get_args(known):
                raise InputError(f"{name}: expected {', '.join(get_args(known))}, given {given}")
        if not sidebands[0] < signal_region[0] < signal_region[1] < sidebands[1]:
            raise InputError(f"expected a signal region within the sidebands, given {signal_region} and {sidebands}")
        self.config = jet_config("resonance")
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.first_seed, self.in_sidebands, self.seed = first_seed, region == "sidebands", seed
        self.region = signal_region[0], signal_region[1]
        self.sidebands = sidebands[0], sidebands[1]
        self.folder = cached_jets(self.config) if path is None else Path(path)
        self.on_missing = on_missing
        where = "beside" if self.in_sidebands else "in"
        self.description = (
            f"masses and tau21 of the two jets of QCD events {where} m_jj of {self.region[0]:g} to {self.region[1]:g} GeV;"
            " particle level"
        )
        self.simulator = f"{simulator()}, resonance, shower default"
        self._read: dict[Split, tuple[Events, np.ndarray]] = {}

    @property
    def axes(self) -> dict[str, Axis]:
        """Names and units of the observables, and of the mass."""
        return {
            "observable": Axis(
                name="observable", size=len(OBSERVABLES), labels=list(OBSERVABLES), units=[*OBSERVABLES.values()]
            ),
            "mass": Axis(name="mass", size=1, labels=["m_jj"]),
        }

    def events(self, split: Split) -> Events:
        """All background and signal of a split, in the signal region and the sidebands."""
        return self._numbered(split)[0]

    def observed(self, split: Split, fraction: float, seed: int) -> Events:
        """The background of a split, and as many of its signal events as give that fraction in the signal region.

        As much of the signal lies beside the region as belongs to it.

        Raises
        ------
        InputError
            The split has fewer signal events.
        """
        events = self.events(split)
        inside = self._inside(events)
        signal = generator([self.seed, seed]).permutation(np.flatnonzero(events.signal))
        wanted = round(fraction * np.count_nonzero(inside & ~events.signal))
        in_region = np.cumsum(inside[signal])
        if wanted > (most := int(in_region[-1]) if len(signal) else 0):
            raise InputError(f"{split}: expected at most {most} signal events in the signal region, asked for {wanted}")
        hidden = signal[: np.searchsorted(in_region, wanted + 1)] if wanted else signal[:0]
        return events[np.sort(np.concatenate([np.flatnonzero(~events.signal), hidden]))]

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        events, number = self._numbered(split)
        wanted = self._inside(events) != (self.in_sidebands and split != "test")
        chosen = np.flatnonzero(~events.signal & wanted)
        x, mass = events.x[chosen], events.mass[chosen]
        return Rows(
            inputs={"x": x, "m_jj": mass[:, None].astype(np.float32)},
            target=x,
            group=number[chosen],
            truth={**dict(zip(OBSERVABLES, x.T.astype(np.float64), strict=True)), "m_jj": mass},
        )

    def _inside(self, events: Events) -> np.ndarray:
        return (events.mass >= self.region[0]) & (events.mass <= self.region[1])

    def _numbered(self, split: Split) -> tuple[Events, np.ndarray]:
        """Events of a split, and a number of each that none else has."""
        if split not in self._read:
            seeds = [self.first_seed + int(number) for number in groups(self.sizes, split)]
            parts = load_folder(self.folder, self.config, seeds, self.on_missing)
            event, number = of_files(parts, self.config.radius), event_numbers(parts, seeds)[::2]
            signal = np.concatenate([jets.label[::2] == 1 for jets in parts])
            kept = (event["m_jj"] >= self.sidebands[0]) & (event["m_jj"] <= self.sidebands[1])
            self._read[split] = Events(search_observables(event), event["m_jj"], signal)[kept], number[kept]
        return self._read[split]
