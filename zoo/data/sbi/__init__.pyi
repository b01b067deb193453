from .prior import LogUniform as LogUniform
from .prior import Normal as Normal
from .prior import Prior as Prior
from .prior import Uniform as Uniform
from .simulations import Simulations as Simulations
from .simulations import simulate as simulate
