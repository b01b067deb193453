"""What simulated jets are checked against: the color charges of quarks and gluons, and the spectrum without weights."""

from __future__ import annotations

import numpy as np

from zoo.data.jets.packed import Jets
from zoo.data.jets.samples import JetConfig, jet_config

CASIMIR_RATIO = 9 / 4
"""C_A / C_F, to which the ratio of the multiplicities of gluon and quark jets rises at high energies."""
_NO_MORE_INTERACTIONS = "PartonLevel:MPI = off"


def quarks_and_gluons(pt: float, jets: int) -> JetConfig:
    """Quark and gluon jets of radius 0.4 within 10% of a transverse momentum in GeV, without further interactions.

    Particles of these would be as many in both and hide their ratio.
    """
    quark_and_gluon = jet_config("multi").processes[:2]
    settings = (_NO_MORE_INTERACTIONS, f"PhaseSpace:pTHatMin = {0.8 * pt:g}", f"PhaseSpace:pTHatMax = {1.4 * pt:g}")
    window = (0.9 * pt, 1.1 * pt)
    return jet_config("multi", jets=jets, radius=0.4, pt=window, settings=settings, processes=quark_and_gluon)


def falling_spectrum(jets: int, bias: float) -> JetConfig:
    """The hardest jets of 500 GeV and more of events of QCD, harder ones drawn more often by the power ``bias``."""
    processes = jet_config("top").processes[:1]
    settings = (_NO_MORE_INTERACTIONS, "PhaseSpace:pTHatMin = 420")
    return jet_config("top", jets=jets, pt=(500, 14000), leading=1, settings=settings, processes=processes, bias=bias)


def multiplicity_ratio(jets: Jets) -> tuple[float, float]:
    """Mean number of particles of gluon jets over that of quark jets, and its error.

    Parameters
    ----------
    jets : Jets
        Jets of the classes "quark" and "gluon", and perhaps others.

    Returns
    -------
    ratio : float
        The ratio.
    error : float
        Its standard error.
    """
    counts = [jets.counts[jets.label == jets.classes.index(name)] for name in ("gluon", "quark")]
    gluon, quark = (n.mean() for n in counts)
    relative = [n.std() / n.mean() / np.sqrt(len(n)) for n in counts]
    return float(gluon / quark), float(gluon / quark * np.hypot(*relative))


def spectrum(jets: Jets, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the weights of jets in bins of their transverse momentum, and its error.

    Parameters
    ----------
    jets : Jets
        The jets.
    edges : ndarray of shape (bins + 1,)
        Edges of the bins in GeV.

    Returns
    -------
    share : ndarray of shape (bins,)
        The shares.
    error : ndarray of shape (bins,)
        Their standard errors.
    """
    weight = jets.weight / jets.weight.sum()
    place = np.digitize(jets.momentum[:, 0], edges) - 1
    inside = place[:, None] == np.arange(len(edges) - 1)
    share = (weight[:, None] * inside).sum(axis=0)
    return share, np.sqrt((weight[:, None] ** 2 * (inside - share) ** 2).sum(axis=0))
