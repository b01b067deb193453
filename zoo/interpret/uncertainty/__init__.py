"""Calibrated probabilities, intervals, propagated errors."""
