"""The numbers of a closed form close to the probit, for who computes with Keras and for who does not."""

import math

MIDDLE = math.sqrt(math.pi / 8)
"""Slope of the standard normal's quantiles by the logit, in the middle."""
TAIL = 16 / math.pi
"""Logit from about which on the quantiles go as the root of twice the logit."""
