"""Jets of one seed from Pythia: hard process, showers, hadrons, anti-kt jets and the particles in them.

All is at particle level: no detector, no pileup.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from zoo.data.jets.banners import silent
from zoo.data.jets.identities import numbers_of
from zoo.data.jets.packed import EVENTS, Jets, wrapped
from zoo.data.jets.samples import JetConfig, Process
from zoo.errors import ZooError

try:
    import pythia8mc
except ImportError as error:
    raise ZooError("jets are simulated by Pythia, which is not installed: pip install 'physzoo[jets]'") from error

SOFTEST = 20.0
"""Least transverse momentum in GeV of a jet that is looked at."""
SLACK = 0.4
"""By how much the rapidity of a parton may be beyond that of jets."""
PAUSE = 25.0
"""Transverse momentum in GeV down to which the shower has come when an event without hope is ended."""
LESS, MORE = 0.92, 1.1
"""How far, relatively, jets of partons may be outside the transverse momenta of the sample's jets."""
DECAYS = 5
"""Pythia's number for the showers of resonances, which come after all else."""
ALL, VISIBLE = 1, 2
"""Pythia's numbers for the final particles that make jets."""
MOST_FAILURES = 1000
"""Events in a row that Pythia may fail to make."""


class Cuts(pythia8mc.UserHooks):
    """What ends events early that give no jet of the sample, at a part of their cost.

    Interactions beside the hard one, and hadrons, are most of the cost. They are left out of events in which jets of twice the
    radius are too soft halfway through the shower, as jets within them can only be softer, and of those in which the jets of
    partons at its end are far from what is wanted. Together that loses a few in a thousand of the sample's jets.

    Parameters
    ----------
    config : JetConfig
        The sample.
    partons : set of int
        PDG codes without sign of the outgoing particles that are wanted; empty where any will do.
    """

    def __init__(self, config: JetConfig, partons: set[int]) -> None:
        super().__init__()
        self.config, self.partons = config, partons
        self.least, self.most = LESS * config.pt[0], MORE * config.pt[1]
        self.undecayed = False
        self.wide, self.narrow = _finder(2 * config.radius, ALL), _finder(config.radius, VISIBLE)

    def canVetoProcessLevel(self) -> bool:
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:
        hard, most = outgoing(process), self.config.rapidity + SLACK
        self.undecayed = hard != (5, 6)
        return bool(self.partons) and not any(process[i].idAbs() in self.partons and abs(process[i].y()) < most for i in hard)

    def canVetoPT(self) -> bool:
        return True

    def scaleVetoPT(self) -> float:
        return PAUSE

    def doVetoPT(self, position: int, event: Any) -> bool:
        if position == DECAYS or self.undecayed:  # long after, or while one resonance hides both jets
            return False
        self.wide.analyze(event)
        jets = (self.wide.constituents(jet) for jet in range(self.wide.sizeJet()) if self.wide.pT(jet) > self.least)
        # A Z has not decayed yet; the one of quark-gluon is not going to be seen.
        return all(23 in map(abs, (event[i].id() for i in members)) and 23 not in self.partons for members in jets)

    def canVetoPartonLevel(self) -> bool:
        return True

    def doVetoPartonLevel(self, event: Any) -> bool:
        self.narrow.analyze(event)
        jets = range(min(self.narrow.sizeJet(), self.config.leading + 1))
        return not any(self.least < self.narrow.pT(jet) < self.most for jet in jets)


def _finder(radius: float, select: int) -> Any:
    """Anti-kt jets of a radius, of particles with their true masses."""
    return pythia8mc.SlowJet(-1, radius, SOFTEST, 25.0, select, 2, None, True, True)


def outgoing(process: Any) -> tuple[int, int]:
    """Where the two outgoing particles of a hard process, or the two that its resonance decays to, stand in its record."""
    return (5, 6) if process[6].mother1() == 3 else (6, 7)


def generate(config: JetConfig, seed: int) -> Jets:
    """The jets of one seed, in the order of their classes; the same on each call.

    Parameters
    ----------
    config : JetConfig
        The sample.
    seed : int
        Number of the file.

    Returns
    -------
    Jets
        As many of each class as the config says.

    Raises
    ------
    ZooError
        Pythia refuses the settings, or makes no events.
    """
    wanted = config.jets * (config.leading if config.whole_events else 1)
    rows = [row for number in range(len(config.processes)) for row in islice(_jets(config, number, seed), wanted)]
    momentum, event, weight, parton_pt, particles, identity = zip(*rows, strict=True)
    return Jets(
        classes=tuple(config.classes),
        momentum=np.array(momentum, np.float32),
        label=np.repeat(np.arange(len(config.processes), dtype=np.uint8), wanted),
        weight=np.array(weight),
        event=np.array(event),
        parton_pt=np.array(parton_pt, np.float32),
        offsets=np.cumsum([0, *map(len, identity)]),
        particles=np.concatenate(particles).astype(np.float16),
        identity=np.concatenate(identity).astype(np.uint8),
    )


def _jets(config: JetConfig, number: int, seed: int) -> Iterator[tuple]:
    """Jets of one class, without end: momentum, event, weight, momentum of the parton, particles, identities."""
    cuts = Cuts(config, set(config.processes[number].partons))
    with silent():
        pythia = _started(config, number, seed, cuts)
    finder, failures, made = _finder(config.radius, VISIBLE), 0, 0
    while failures < MOST_FAILURES:
        if not pythia.next():
            failures += 1
            continue
        failures, event = 0, pythia.event
        finder.analyze(event)
        weight, name = pythia.infoPython().weight(), number * EVENTS + made
        made += 1
        for jet, parton in _selected(config, config.processes[number], finder, pythia.process, event):
            momentum = (finder.pT(jet), finder.y(jet), finder.phi(jet), finder.m(jet))
            yield momentum, name, weight, parton, *_particles(event, finder.constituents(jet), momentum)
    raise ZooError(f"Pythia made no event of {config.processes[number].label} in {MOST_FAILURES} attempts")


def _started(config: JetConfig, number: int, seed: int, cuts: Cuts) -> Any:
    """Pythia, ready for the first event of a class."""
    pythia = pythia8mc.Pythia("", False)
    for line in config.lines(number, seed):
        if not pythia.readString(line):
            raise ZooError(f"Pythia refuses the setting {line!r}")
    pythia.setUserHooksPtr(cuts)
    if not pythia.init():
        raise ZooError(f"Pythia refuses the settings of {config.processes[number].label} in {config.sample}")
    _finder(config.radius, ALL).analyze(pythia.process)  # FastJet prints its banner at the first jets of a process
    return pythia


def _selected(config: JetConfig, wanted: Process, finder: Any, process: Any, event: Any) -> list[tuple[int, float]]:
    """The jets of an event that are of the sample, each with the transverse momentum of its parton."""
    least, most = config.pt
    jets = range(min(finder.sizeJet(), config.leading))
    central = [jet for jet in jets if abs(finder.y(jet)) < config.rapidity]
    if config.whole_events:
        whole = len(central) == config.leading and least < finder.pT(0) < most
        chosen = central if whole else []
    else:
        chosen = [jet for jet in central if least < finder.pT(jet) < most]
    hard = [i for i in outgoing(process) if not wanted.partons or process[i].idAbs() in wanted.partons]
    last = {i: _recoiled(event, i) for i in hard}
    found = []
    for jet in chosen:
        distance, nearest = min((_distance(finder, jet, event[copy]), i) for i, copy in last.items())
        if wanted.matched and distance > config.radius:
            continue
        quarks = _quarks(event, last[nearest]) if wanted.contained else []
        if any(_distance(finder, jet, quark) > config.radius for quark in quarks):
            continue
        found.append((jet, process[nearest].pT()))
    return found


def _recoiled(event: Any, particle: int) -> int:
    """Where the copy of an outgoing particle stands that has taken the recoil of the initial state, and before it radiates.

    What decays does so as the last of its copies, radiation or not.
    """
    found = event[particle]
    return found.iBotCopy() if (found.isQuark() and found.idAbs() < 6) or found.isGluon() else found.iBotCopyId()


def _quarks(event: Any, particle: int) -> list[Any]:
    """The quarks that a top, W or Z decays to, before their showers."""
    quarks = []
    for daughter in event[particle].daughterList():
        if event[daughter].idAbs() in (23, 24):
            quarks += _quarks(event, event[daughter].iBotCopyId())
        elif event[daughter].isQuark():
            quarks.append(event[daughter])
    return quarks


def _distance(finder: Any, jet: int, particle: Any) -> float:
    """Distance of a particle from the axis of a jet, in rapidity and azimuth."""
    return math.hypot(particle.y() - finder.y(jet), wrapped(particle.phi() - finder.phi(jet)))


def _particles(event: Any, members: Any, momentum: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Transverse momenta and offsets relative to the jet, (n, 3), the hardest first, and the number of each identity, (n,)."""
    rows = np.array([(event[i].pT(), event[i].y(), event[i].phi(), event[i].id()) for i in members])
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    identity = numbers_of(rows[:, 3].astype(np.int64))
    if identity.min() < 1:
        raise ZooError(f"Pythia has a particle of PDG code {int(rows[identity.argmin(), 3])} in a jet")
    pt, y, phi, _ = momentum
    return np.column_stack([rows[:, 0] / pt, rows[:, 1] - y, wrapped(rows[:, 2] - phi)]), identity
