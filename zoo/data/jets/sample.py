"""Jets that ship with physzoo, for a first look and for tests that need no Pythia; recipes simulate their own."""

from __future__ import annotations

from zoo.data.jets.packed import Jets
from zoo.data.jets.samples import JetConfig
from zoo.data.jets.storage import load_jets
from zoo.data.shipped_files import shipped_file
from zoo.errors import UnknownNameError

SHIPPED = ("quark-gluon", "multi")
"""Samples of which jets ship."""
SHIPPED_SEED = 10_000_000
"""Seed of the shipped files, which no recipe has."""


def load_sample(sample: str = "quark-gluon") -> tuple[Jets, JetConfig]:
    """The shipped jets of a sample, as ``zoo simulate jets --sample SAMPLE --seeds 10000000:10000001`` made them.

    Parameters
    ----------
    sample : {"quark-gluon", "multi"}
        1,500 gluon and 1,500 quark jets of 500 GeV beside a Z, or 400 each of quarks, gluons, W, Z and tops of 1 TeV.

    Returns
    -------
    jets : Jets
        The jets.
    config : JetConfig
        What they were made with.

    Raises
    ------
    UnknownNameError
        None ship of that sample.
    ZooError
        The file is not on this machine.
    """
    if sample not in SHIPPED:
        raise UnknownNameError("shipped sample of jets", sample, SHIPPED)
    jets, config, _ = load_jets(shipped_file(f"jets-{sample}.h5"))
    return jets, config
