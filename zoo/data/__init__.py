"""Data sets: simulated rows in splits that share no simulation, and observations to ask models of."""
