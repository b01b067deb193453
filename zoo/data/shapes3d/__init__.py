"""The Shapes3D scene in a renderer of our own: any image from its six factors, none of them stored."""

from zoo.data.shapes3d.factors import FACTORS, SHAPES, Factor, grid_factors
from zoo.data.shapes3d.images import render

__all__ = ["FACTORS", "SHAPES", "Factor", "grid_factors", "render"]
