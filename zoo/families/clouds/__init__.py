"""Networks on clouds of particles: jets as sets of particles, each with its momentum, its direction and its kind."""
