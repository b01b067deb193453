"""Posteriors of flows: calibration, comparison, sampling."""
