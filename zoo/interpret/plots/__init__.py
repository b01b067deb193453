"""Figures. Each function returns a `matplotlib.figure.Figure` made without pyplot: no window, no global state."""

from zoo.interpret.plots.classification import (
    confusion,
    learning_curves,
    recall_against_difficulty,
    reliability_diagram,
    roc,
)
from zoo.interpret.plots.latents import information_heat_map, latent_traversal, latents_against_parameters
from zoo.interpret.plots.spectra import attribution_over_elements, attribution_over_multipoles, planck_spectrum_plot

__all__ = [
    "attribution_over_elements",
    "attribution_over_multipoles",
    "confusion",
    "information_heat_map",
    "latent_traversal",
    "latents_against_parameters",
    "learning_curves",
    "planck_spectrum_plot",
    "recall_against_difficulty",
    "reliability_diagram",
    "roc",
]
