"""Kepler's third law for physzoo: an example of a package that adds to the zoo."""

from pathlib import Path

MODEL = Path(__file__).parent / "kepler-period"
"""Folder of the released model, as ``zoo release`` wrote it from ``kepler-period.yaml``."""
