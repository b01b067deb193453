"""Halos made without a simulation."""
