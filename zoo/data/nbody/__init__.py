"""N-body simulations: initial conditions, particle mesh, halos and what is measured of them."""
