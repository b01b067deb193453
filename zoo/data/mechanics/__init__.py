"""Mechanical systems whose laws are known: states along trajectories, and how they change."""
