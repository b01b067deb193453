"""Jets of particles: simulated with Pythia, or a user's own, as the clouds of particles that networks take."""
