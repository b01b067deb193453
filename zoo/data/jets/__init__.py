"""Jets of particles: simulated with Pythia, or a user's own, as the clouds of particles that networks take.

Names are imported when they are first used: none of them needs Pythia.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
