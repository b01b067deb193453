"""Pages of the site that are made of the project: a page a model, the reference of the API, and the files of the root.

They lie in ``_made``, which is no part of the repository.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
from itertools import chain
from pathlib import Path

from zoo.export.client_files import write_client_files
from zoo.model.card_sections import headline
from zoo.model.metric_text import metric_unit, value_text
from zoo.model.registry import RELEASED, get_spec, list_models
from zoo.model.spec import FIGURES, TEST_TENSORS, ModelSpec, onnx_file

ROOT = Path(__file__).parents[1]
MADE = "_made"
WINGS = ("zoo", "training", "export", "serving")
RUNTIME = ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"]
"""What a page needs of onnxruntime-web."""
ROOT_PAGES = {
    "README.md": "readme",
    "ARCHITECTURE.md": "architecture",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
}
FOLDERS = {"model_cards": f"{MADE}/models", "benchmarks": "benchmarks", "benchmarks/results": "benchmarks", "examples": "tour"}
"""The page that stands for a folder of the repository."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#|path:|/)([^)\s#]+)(#[^)\s]*)?\)")
DEMONSTRATION = """## Try it

```{{raw}} html
<div class="physzoo-demo" data-model="{name}"></div>
<script type="module" src="../../_static/demo.mjs"></script>
```
"""
OTHER = "benchmarks-and-toys"
"""The field of a model whose data are of none."""
PICTURES = [
    "posterior",
    "density",
    "traversal",
    "latents",
    "coefficients",
    "sculpting",
    "improvement",
    "values",
    "error",
    "roc",
]
"""Which figure stands for a model, in order."""
API: dict[str, tuple[str, list[str] | None]] = {
    "zoo": ("Models by name, and what is done with them", None),
    "zoo.interpret": ("Looking inside", None),
    "zoo.data.sbi": ("Simulators and priors", None),
    "zoo.data.jets": ("Jets of one's own", None),
    "zoo.serving": ("Without Keras, and on a port", ["Session", "server.Server", "verify.verify"]),
    "zoo.export": ("Graphs", ["export"]),
    "zoo.data.dataset": ("Data sets", ["Dataset", "Rows", "KnowsAxes"]),
    "zoo.model.spec": ("What a model says of itself", ["ModelSpec", "Endpoint", "Tensor", "Metric", "Tolerance", "Data"]),
    "zoo.model.axes": ("Axes", ["Axis"]),
    "zoo.families.base": ("Families of one's own", ["EndpointModel", "ZooModel"]),
    "zoo.training.recipe": ("Recipes", ["Recipe", "load_recipe"]),
    "zoo.errors": ("Errors", ["ZooError", "InputError", "IntegrityError", "UnknownNameError"]),
}
"""Modules of the reference: what each is for, and its names; None for all that it exports."""


def write(site: Path) -> None:
    """Write all pages that are made.

    Parameters
    ----------
    site : Path
        Folder of the pages that are written by hand.
    """
    (site / MADE / "models").mkdir(parents=True, exist_ok=True)
    for source, name in ROOT_PAGES.items():
        _page(site / MADE / f"{name}.md", (ROOT / source).read_text())
    models = list_models()
    for name in models:
        _page(site / MADE / "models" / f"{name}.md", _card(name))
    _page(site / MADE / "models.md", _models(models))
    _page(site / MADE / "api.md", _api())
    _demonstrations(site / MADE / "static", models)


def code_hash() -> str:
    """What tells the code of the zoo from that of another day: notebooks that ran with the one say nothing of the other."""
    found = hashlib.sha256()
    for path in sorted(path for wing in WINGS for path in (ROOT / wing).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def with_links_of_the_site(app, page: str, source: list[str]) -> None:
    """Point the links of a page at pages, pictures and downloads of the site.

    Parameters
    ----------
    app : Sphinx
        What builds the site.
    page : str
        The page.
    source : list of str
        Its text, which is changed in place.
    """
    here = Path(app.srcdir, page).parent
    base = _comes_from(page)
    source[0] = LINK.sub(lambda link: _link(link, base, here, Path(app.srcdir)), source[0])


def _comes_from(page: str) -> Path:
    """The folder of the repository from which the links of a page are counted."""
    if page.startswith(f"{MADE}/models/"):
        return RELEASED / page.rpartition("/")[2]
    return ROOT if page.startswith(f"{MADE}/") else (ROOT / "docs" / page).parent


def _link(link: re.Match, base: Path, here: Path, site: Path) -> str:
    picture, text, target, anchor = link.groups()
    path = Path(os.path.normpath(base / target))
    if picture:
        return f"![{text}]({os.path.relpath(path, here)})"
    if not path.is_relative_to(ROOT):
        return link.group()
    inside = path.relative_to(ROOT).as_posix()
    if path.parent == RELEASED:
        page = f"{MADE}/models/{path.name}"
    elif path.parent.parent == RELEASED and path.name == "README.md":
        page = f"{MADE}/models/{path.parent.name}"
    elif inside in ROOT_PAGES:
        page = f"{MADE}/{ROOT_PAGES[inside]}"
    elif path.is_relative_to(ROOT / "docs") and path.suffix == ".md":
        page = path.relative_to(ROOT / "docs").with_suffix("").as_posix()
    elif path.is_dir():
        page = FOLDERS.get(inside, "")
    else:
        return f"[{text}](path:{os.path.relpath(path, here)})" if path.is_file() else text
    return f"[{text}](/{page}.md{anchor or ''})" if page else text


def _page(path: Path, text: str) -> None:
    """Write a page where it has changed, so that an unchanged one is not built again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _demonstrations(static: Path, names: list[str]) -> None:
    """What pages of models run: onnxruntime-web, the modules of ``export/web``, and the graphs with their test tensors."""
    web = Path(os.environ.get("PHYSZOO_WEB", ROOT / ".venv" / "web")) / "node_modules" / "onnxruntime-web" / "dist"
    if not web.is_dir():
        raise FileNotFoundError(f"{web} is not there: make docs installs it")
    (static / "ort").mkdir(parents=True, exist_ok=True)
    for file in RUNTIME:
        shutil.copy(web / file, static / "ort")
    shutil.copytree(
        ROOT / "export" / "web", static / "physzoo", dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")
    )
    for name in names:
        folder, spec = static / "demos" / name, get_spec(name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in [TEST_TENSORS, *map(onnx_file, spec.endpoints)]:
            shutil.copy(RELEASED / name / file, folder)
        write_client_files(folder, spec)
        (folder / TEST_TENSORS).unlink()


def _card(name: str) -> str:
    """The card of a model without the block for the Hub, its demonstration before what it is for."""
    text = (RELEASED / name / "README.md").read_text()
    text = text.partition("\n---\n")[2].lstrip() if text.startswith("---\n") else text
    before, heading, after = text.partition("\n## ")
    return f"{before}\n{DEMONSTRATION.format(name=name)}{heading}{after}"


def _models(names: list[str]) -> str:
    """The gallery: a card a model, and buttons that leave those of one task, family or field."""
    specs = {name: get_spec(name) for name in names}
    kinds = {
        "field": [spec.data.fields or [OTHER] for spec in specs.values()],
        "task": [[spec.task] for spec in specs.values()],
        "family": [[spec.family] for spec in specs.values()],
    }
    buttons = "\n".join(
        f'<p class="gallery-filter">{kind}: '
        + " ".join(
            f'<button type="button" data-only="{kind}-{one}">{one.replace("-", " ")}</button>'
            for one in sorted(set(chain(*values)))
        )
        + "</p>"
        for kind, values in kinds.items()
    )
    cards = []
    for place, (name, spec) in enumerate(specs.items()):
        marks = " ".join(f"{kind}-{one}" for kind, values in kinds.items() for one in values[place])
        cards.append(
            f":::{{grid-item-card}} {name}\n:img-top: {_picture(name)}\n:img-alt: {spec.summary}\n:link: models/{name}\n"
            f":link-type: doc\n:class-item: gallery-card {marks}\n:footer: {_worth(spec)}\n\n{spec.summary}\n:::"
        )
    rows = "\n".join(f"models/{name}" for name in names)
    return (
        f'# Models\n\n```{{raw}} html\n{buttons}\n<script type="module" src="../_static/gallery.mjs"></script>\n```\n\n'
        + "::::{grid} 1 2 3 3\n:gutter: 3\n\n"
        + "\n".join(cards)
        + f"\n::::\n\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{rows}\n```\n"
    )


def _picture(name: str) -> str:
    """The figure that says most of a model: the first of ``PICTURES`` that it has."""
    figures = {path.stem: path for path in sorted((RELEASED / name / FIGURES).glob("*.png"))}
    chosen = next((figures[stem] for stem in PICTURES if stem in figures), next(iter(figures.values())))
    return os.path.relpath(chosen, ROOT / "docs" / MADE)


def _worth(spec: ModelSpec) -> str:
    """What a model is worth: its limited number beside the limit, or the first of its card beside its baseline; its size."""
    limit = spec.limit.value(spec.metrics) if spec.limit else None
    named = {metric.name: metric for metric in spec.metrics}
    metric = headline(spec)[0] if limit is None else named[spec.limit.metric]
    parts = [f"{metric.name} {value_text(metric, metric_unit(metric, spec.units))}"]
    if limit is not None:
        parts.append(f"{spec.limit.what}: {limit:.4g}")
    elif metric.baseline is not None:
        parts.append(f"{metric.baseline_name}: {metric.baseline:.4g}")
    return "; ".join([*parts, f"{sum(file.bytes for file in spec.files) / 1e6:.1f} MB"])


def _api() -> str:
    parts = ["# API reference\n\nNames are imported when first used: `import zoo` brings neither Keras nor TensorFlow.\n"]
    for module, (title, names) in API.items():
        found = names or [name for name in importlib.import_module(module).__all__ if not name.startswith("__")]
        lines = "\n".join(f"   {module}.{name}" for name in found)
        parts.append(f"## {title}\n\n```{{eval-rst}}\n.. autosummary::\n   :toctree: api\n   :nosignatures:\n\n{lines}\n```\n")
    return "\n".join(parts)
