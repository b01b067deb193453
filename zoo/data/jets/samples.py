"""What the samples of jets are: processes, cuts and showers of Pythia as plain data, which every file keeps."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from zoo.errors import InputError, UnknownNameError
from zoo.model.axes import Strict

SampleName = Literal["quark-gluon", "top", "multi", "resonance"]
Shower = Literal["default", "alphaS-up", "alphaS-down", "color-reconnection"]

SHOWERS: dict[Shower, tuple[str, ...]] = {
    "default": (),
    "alphaS-up": ("TimeShower:alphaSvalue = 0.1502",),
    "alphaS-down": ("TimeShower:alphaSvalue = 0.1229",),
    "color-reconnection": ("ColourReconnection:mode = 2",),
}
"""Settings of each shower: alpha_S of final-state radiation 10% above and below Monash's 0.1365, and reconnection by moving
gluons (arXiv:1407.6653) in place of that of multiple interactions."""


_MASS = "34:m0 = "
"""How the line begins that gives a W' its mass."""


class Process(Strict):
    """What makes the jets of one class."""

    label: str
    """Name of the class."""
    settings: tuple[str, ...]
    """Lines that Pythia reads beside those of the sample."""
    partons: tuple[int, ...] = ()
    """PDG codes, without their sign, of the outgoing particles of the hard process that are wanted; none where any will do."""
    matched: bool = False
    """Whether the wanted outgoing particle lies within a jet's radius of its axis."""
    contained: bool = False
    """Whether the quarks do, to which that particle decays."""


class JetConfig(Strict):
    """What defines a file of jets but for its seed; a folder made with one is refused by another."""

    sample: SampleName
    shower: Shower = "default"
    jets: int = Field(gt=0)
    """Number of jets of each class in a file, or of events where those are kept whole."""
    energy: float
    """Energy of the two beams together in GeV."""
    radius: float
    """Radius of the anti-kt jets."""
    pt: tuple[float, float]
    """Least and largest transverse momentum of a jet in GeV; of an event that is kept whole, of the first jet."""
    rapidity: float
    """Largest absolute rapidity of a jet."""
    leading: int
    """How many jets of an event are looked at, the hardest first."""
    whole_events: bool = False
    """Whether all these jets of an event are kept, or none."""
    bias: float = Field(default=0, ge=0)
    """Power of the transverse momentum by which events are drawn more often, with weights that make up for it; 0 for none."""
    settings: tuple[str, ...] = ()
    """Lines that Pythia reads for all classes."""
    processes: tuple[Process, ...]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their numbers."""
        return [process.label for process in self.processes]

    @property
    def mass(self) -> float | None:
        """Mass of the resonance in GeV, None of a sample without one."""
        lines = (line for process in self.processes for line in process.settings)
        return next((float(line.removeprefix(_MASS)) for line in lines if line.startswith(_MASS)), None)

    def lines(self, number: int, seed: int) -> list[str]:
        """All lines that Pythia reads for the class of a number and the file of a seed."""
        process = self.processes[number]
        one_body = any(line.startswith(_MASS) for line in process.settings)  # of which Pythia refuses to draw some more often
        biased = self.bias and not one_body
        weighted = ("PhaseSpace:bias2Selection = on", f"PhaseSpace:bias2SelectionPow = {self.bias:g}") if biased else ()
        return [
            "Print:quiet = on",
            "Random:setSeed = on",
            f"Random:seed = {1 + seed * len(self.processes) + number}",
            f"Beams:eCM = {self.energy:g}",
            *self.settings,
            *process.settings,
            *SHOWERS[self.shower],
            *weighted,
        ]


MOST_SEED = 10**8
"""One past the largest seed of a file, so that Pythia takes the number that is made of it."""

_Z_TO_NEUTRINOS = ("WeakZ0:gmZmode = 2", "23:onMode = off", "23:onIfAny = 12 14 16")
_Z_TO_QUARKS = ("WeakZ0:gmZmode = 2", "23:onMode = off", "23:onIfAny = 1 2 3 4 5")
_W_TO_QUARKS = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
_TOPS = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *_W_TO_QUARKS)
_ONE_INTERACTION = ("PartonLevel:MPI = off",)


def _between(least: float, most: float) -> tuple[str, str]:
    return f"PhaseSpace:pTHatMin = {least:g}", f"PhaseSpace:pTHatMax = {most:g}"


def _two_bodies(mass: float, first: float, second: float) -> tuple[str, ...]:
    """A W' that decays to two new resonances, each of which decays to light quarks; masses in GeV."""
    x, y = 9900101, 9900102
    return (
        "NewGaugeBoson:ffbar2Wprime = on",
        f"{_MASS}{mass:g}",
        f"34:mWidth = {mass / 100:g}",
        "34:doForceWidth = on",
        f"34:mMin = {mass * 5 / 7:g}",
        f"{x}:new = X+ X- 1 3 0 {first:g} {first / 100:g} {first / 2:g} {first * 1.5:g}",
        f"{y}:new = Y void 1 0 0 {second:g} {second / 100:g} {second / 2:g} {second * 1.5:g}",
        f"{x}:isResonance = on",
        f"{y}:isResonance = on",
        f"{x}:doForceWidth = on",
        f"{y}:doForceWidth = on",
        f"{x}:oneChannel = 1 1.0 101 2 -1",
        f"{y}:oneChannel = 1 0.5 101 1 -1",
        f"{y}:addChannel = 1 0.5 101 2 -2",
        f"34:oneChannel = 1 1.0 103 {x} {y}",
    )


_SAMPLES: dict[SampleName, dict[str, Any]] = {
    "quark-gluon": {
        "jets": 1000,
        "energy": 14000,
        "radius": 0.4,
        "pt": (500, 550),
        "rapidity": 1.7,
        "leading": 1,
        "settings": (*_Z_TO_NEUTRINOS, *_between(430, 750)),
        "processes": (
            Process(label="gluon", settings=("WeakBosonAndParton:qqbar2gmZg = on",), partons=(21,)),
            Process(label="quark", settings=("WeakBosonAndParton:qg2gmZq = on",), partons=(1, 2, 3)),
        ),
    },
    "top": {
        "jets": 2000,
        "energy": 14000,
        "radius": 0.8,
        "pt": (550, 650),
        "rapidity": 2.0,
        "leading": 2,
        "settings": (*_ONE_INTERACTION, *_between(440, 850)),
        "processes": (
            Process(label="qcd", settings=("HardQCD:all = on",)),
            Process(label="top", settings=_TOPS, partons=(6,), matched=True, contained=True),
        ),
    },
    "multi": {
        "jets": 2000,
        "energy": 13000,
        "radius": 0.8,
        "pt": (800, 1200),
        "rapidity": 2.0,
        "leading": 2,
        "settings": _between(950, 1050),
        "processes": (
            Process(label="quark", settings=("HardQCD:all = on",), partons=(1, 2, 3), matched=True),
            Process(label="gluon", settings=("HardQCD:all = on",), partons=(21,), matched=True),
            Process(label="W", settings=("WeakDoubleBoson:ffbar2WW = on", *_W_TO_QUARKS), partons=(24,), matched=True),
            Process(label="Z", settings=("WeakDoubleBoson:ffbar2gmZgmZ = on", *_Z_TO_QUARKS), partons=(23,), matched=True),
            Process(label="top", settings=_TOPS, partons=(6,), matched=True),
        ),
    },
    "resonance": {
        "jets": 2000,
        "energy": 13000,
        "radius": 1.0,
        "pt": (1200, 13000),
        "rapidity": 2.5,
        "leading": 2,
        "whole_events": True,
        "settings": _ONE_INTERACTION,
        "processes": (
            Process(label="qcd", settings=("HardQCD:all = on", "PhaseSpace:pTHatMin = 1100")),
            Process(label="resonance", settings=_two_bodies(3500, 500, 100)),
        ),
    },
}


LEAST_MASS, MOST_MASS = 1000.0, 4000.0
"""Masses of a W' in GeV between which a grid may be."""


def _at_mass(mass: float) -> dict[str, Any]:
    """What differs from the sample of resonances where the mass in GeV of W' is chosen.

    X and Y have the same parts of its mass as there, so that their jets are as narrow, and events the same least momentum at
    all masses, so that all have one background.
    """
    if not LEAST_MASS <= mass <= MOST_MASS:
        raise InputError(f"mass: expected {LEAST_MASS:g} to {MOST_MASS:g} GeV, given {mass:g}")
    signal = Process(label="resonance", settings=_two_bodies(mass, mass / 7, mass / 35))
    background = Process(label="qcd", settings=("HardQCD:all = on", "PhaseSpace:pTHatMin = 270"))
    return {"pt": (300, 13000), "processes": (background, signal)}


def jet_config(sample: str = "quark-gluon", shower: str = "default", *, mass: float | None = None, **changes: Any) -> JetConfig:
    """What defines the files of a sample.

    Parameters
    ----------
    sample : str
        "quark-gluon" (a quark or gluon beside a Z, as EnergyFlow's set), "top" (beside QCD), "multi" (quarks, gluons, W, Z and
        tops of 1 TeV) or "resonance" (W' -> X Y -> four quarks beside QCD, whole events).
    shower : str
        "default", "alphaS-up", "alphaS-down" or "color-reconnection".
    mass : float, optional
        Mass in GeV of the W' of "resonance", with X and Y of a seventh and a 35th of it and jets from 300 GeV on; without it
        3500 and jets from 1200 GeV on.
    **changes : object
        Fields of `JetConfig` that differ from the sample's.

    Returns
    -------
    JetConfig
        The settings.

    Raises
    ------
    UnknownNameError
        There is no sample or shower of that name.
    InputError
        The sample has no mass, or not that one.
    """
    if sample not in _SAMPLES:
        raise UnknownNameError("sample of jets", sample, _SAMPLES)
    if shower not in get_args(Shower):
        raise UnknownNameError("shower", shower, SHOWERS)
    if mass is not None and sample != "resonance":
        raise InputError(f"mass: only the sample resonance has one, given {sample}")
    at_mass = {} if mass is None else _at_mass(mass)
    return JetConfig.model_validate({"sample": sample, "shower": shower, **_SAMPLES[sample], **at_mass, **changes})
