"""Simulation-based inference: priors, simulators run in parallel, the benchmark's tasks, and data sets for all of them."""

from zoo.data.sbi.as_prior import as_prior
from zoo.data.sbi.joint_prior import JointPrior
from zoo.data.sbi.laws import LogNormal, LogUniform, Normal, Scipy, Uniform
from zoo.data.sbi.prior import Prior
from zoo.data.sbi.simulations import Simulations, simulate

__all__ = [
    "JointPrior",
    "LogNormal",
    "LogUniform",
    "Normal",
    "Prior",
    "Scipy",
    "Simulations",
    "Uniform",
    "as_prior",
    "simulate",
]
