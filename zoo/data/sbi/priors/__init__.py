"""Priors: laws of single parameters, of several together, and of rows that a user brings."""
