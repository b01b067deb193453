"""Formulae for points: written by a network, their constants fitted, the best of them found."""
