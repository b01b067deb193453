"""Spectra of the cosmic microwave background: simulated, with the noise of Planck, and measured by it."""
