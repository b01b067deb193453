"""Unfolding: weights at particle level from data at detector level, without bins."""
