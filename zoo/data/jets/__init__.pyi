from .own import from_awkward as from_awkward
from .own import from_columns as from_columns
from .own import from_energyflow as from_energyflow
from .own import from_fastjet as from_fastjet
from .own import from_root as from_root
from .simulated import from_simulation as from_simulation
