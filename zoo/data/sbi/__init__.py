"""Simulation-based inference: priors, simulators run in parallel, the benchmark's tasks, and data sets for all of them.

Names are imported when they are first used: the processes that simulate need hardly any of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
