"""Ratios of the densities of two samples, learned by classifiers."""
