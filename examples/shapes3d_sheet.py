"""A contact sheet of Shapes3D: a row for each factor, the others fixed, and rows of images drawn at random.

    python examples/shapes3d_sheet.py [file.png]

Writes examples/figures/shapes3d.png by default.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from zoo.data.shapes3d import FACTORS, grid_factors, render
from zoo.data.shapes3d.factors import GRID
from zoo.interpret.plots import image_grid

COLUMNS = 10
FIXED = (0.3, 0.6, 0.0, 1.1071428571428572, 0.0, 12.857142857142858)
"""A point of the grid, from which one factor changes in each row."""


def main(path: Path) -> None:
    images = np.full((len(FACTORS) + 2, COLUMNS, 64, 64, 3), np.nan, np.float32)
    for row, factor in enumerate(FACTORS):
        chosen = np.linspace(0, factor.size - 1, min(COLUMNS, factor.size)).round().astype(int)
        factors = np.tile(FIXED, (len(chosen), 1))
        factors[:, row] = np.array(factor.values)[chosen]
        images[row, : len(chosen)] = render(factors)
    index = np.random.default_rng(0).integers(GRID, size=2 * COLUMNS)
    images[-2:] = render(grid_factors(index)).reshape(2, COLUMNS, 64, 64, 3)
    labels = [factor.name.replace("_", " ") for factor in FACTORS]
    canvas = FigureCanvasAgg(image_grid(images, [*labels, "at random", ""]))
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(256, kmeans=1).save(path, optimize=True)
    print(f"wrote {path}, {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "figures" / "shapes3d.png")
