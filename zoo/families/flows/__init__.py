"""Normalizing flows (Papamakarios et al. 2021, arXiv:1912.02762): densities that can be evaluated and sampled."""
