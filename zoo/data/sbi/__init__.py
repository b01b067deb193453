"""Simulation-based inference: priors, simulators run in parallel, the benchmark's tasks, and data sets for all of them."""

from zoo.data.sbi.prior import LogUniform, Normal, Prior, Uniform
from zoo.data.sbi.simulations import Simulations, simulate

__all__ = ["LogUniform", "Normal", "Prior", "Simulations", "Uniform", "simulate"]
