"""Verdicts of made-up histories and metrics whose right verdict is known, and the page of a run."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from quick_training import eagerly
from tiny_networks import released, user_data

import zoo
from zoo.model.card_sections import SECTIONS
from zoo.model.spec import Metric
from zoo.training.calibration import SHIFT, TEMPERATURE, calibration
from zoo.training.failures import Failure, failures
from zoo.training.metrics import Units
from zoo.workflows.run_report import write_report
from zoo.workflows.verdict import beside_baselines, beside_others, calibrated, fitted, held_back

EPOCHS = np.arange(40)
FLAT = 1 + np.exp(-EPOCHS / 3)


def metric(name, value, low, high, **rest):
    return Metric(name=name, value=value, interval=(low, high), n=200, **rest)


@pytest.mark.parametrize(
    ("loss", "val_loss", "said"),
    [
        (FLAT - 0.005 * EPOCHS, FLAT + 0.01 * np.maximum(0, EPOCHS - 20), "Overfitted after epoch 21 of 40"),
        (2 - 0.02 * EPOCHS, 2.1 - 0.02 * EPOCHS, "Underfitted: both losses still fell in the last 8 of 40 epochs"),
        (FLAT, FLAT, "Neither over- nor underfitted: the validation loss was lowest at epoch 40 of 40"),
        (FLAT + 0.01 * EPOCHS, FLAT + 0.01 * EPOCHS, "Neither"),  # both rise: a rate that is too high, no overfitting
        (FLAT - 0.005 * EPOCHS, FLAT + 0.05 * np.random.default_rng(0).normal(size=40), "Neither"),  # noise
        ([1.0, 0.5], [1.0, 0.4], "not told, from 2 epochs"),
        (FLAT, [*FLAT[:-1], np.nan], "not told"),
    ],
)
def test_over_and_underfitting(loss, val_loss, said):
    (found,) = fitted({"loss": list(loss), "val_loss": list(val_loss)}, kept_best=True)
    assert said in found


@pytest.mark.parametrize(
    ("name", "interval", "unfreeze", "held"),
    [
        ("accuracy", (-0.1, -0.03), "head", True),
        ("loss", (0.03, 0.1), 1, True),
        ("loss", (-0.1, -0.03), "head", False),
        ("loss", (-0.1, 0.03), "head", False),
        ("loss", (0.03, 0.1), "all", False),
    ],
)
def test_a_head_alone_that_is_worse_than_the_network_from_scratch_is_held_back(name, interval, unfreeze, held):
    """Its losses have nothing to say of that."""
    metrics = [metric(f"{name} minus that from scratch", sum(interval) / 2, *interval)]
    assert held_back(metrics, unfreeze) == held
    (found,) = fitted({"loss": list(FLAT), "val_loss": list(FLAT)}, kept_best=True, held_back=held)
    assert found.startswith("Held back by what was frozen" if held else "Neither over- nor underfitted")
    assert ("unfreeze='all'" in found) == held
    (over,) = fitted({"loss": list(FLAT - 0.005 * EPOCHS), "val_loss": list(FLAT + 0.01 * EPOCHS)}, True, held_back=held)
    assert over.startswith("Overfitted")


def test_a_slope_is_given_with_its_interval_and_which_weights_are_kept():
    rng = np.random.default_rng(1)
    rising = FLAT + 0.01 * np.maximum(0, EPOCHS - 20) + rng.normal(0, 0.005, 40)
    history = {"loss": list(FLAT - 0.005 * EPOCHS), "val_loss": list(rising)}
    (kept,), (last,) = fitted(history, kept_best=True), fitted(history, kept_best=False)
    low, high = map(float, re.search(r"rose by (\S+) to (\S+) an epoch", kept).groups())
    assert low < 0.01 < high
    assert f"the weights of epoch {np.argmin(rising) + 1} are kept" in kept
    assert "give the recipe a patience" in last
    assert fitted({"loss": [1.0]}, kept_best=True) == []


@pytest.mark.parametrize(
    ("name", "value", "interval", "said"),
    [
        ("accuracy", 0.062, (0.027, 0.1), "Better than {0}: `accuracy` is higher by 0.062 (0.027 to 0.1)."),
        ("accuracy", -0.062, (-0.1, -0.027), "Worse than {0}: `accuracy` is lower by 0.062 (0.027 to 0.1)."),
        ("rmse", -0.062, (-0.1, -0.027), "Better than {0}: `rmse` is lower by 0.062 (0.027 to 0.1)."),
        ("loss", 0.062, (0.027, 0.1), "Worse than {0}: `loss` is higher by 0.062 (0.027 to 0.1)."),
        ("accuracy", 0.01, (-0.02, 0.03), "Not told apart from {0}: `accuracy` differs by 0.01 (-0.02 to 0.03)"),
    ],
)
def test_beside_the_network_from_scratch(name, value, interval, said):
    (found,) = beside_others([metric(f"{name} minus that from scratch", value, *interval)], "head")
    assert found.startswith(said.format("the same network from scratch"))
    assert ("unfreeze='all'" in found) == (not said.startswith("Better"))


def test_what_is_free_already_is_not_proposed():
    (found,) = beside_others([metric("loss minus that before", 0.1, -0.1, 0.2)], "all")
    assert found.startswith("Not told apart from the parent")
    assert "unfreeze" not in found


def test_one_statistic_speaks_for_a_comparison():
    metrics = [metric(f"{name} minus that before", 0.1, 0.05, 0.2) for name in ("loss", "accuracy", "auc")]
    (found,) = beside_others(metrics)
    assert "`auc`" in found
    assert found.startswith("Better than the parent")


@pytest.mark.parametrize(
    ("name", "baseline", "said"),
    [
        ("log_prob", 0.2, "Better"),
        ("log_prob", 1.5, "Worse"),
        ("log_prob", 1.05, "Not told apart"),
        ("rmse a", 0.2, "Worse"),
        ("rmse a", 1.5, "Better"),
    ],
)
def test_beside_a_baseline(name, baseline, said):
    (found,) = beside_baselines([metric(name, 1.0, 0.9, 1.1, baseline=baseline, baseline_name="prior")])
    assert found.startswith(f"{said} ")
    assert f"`{name}` is 1 (0.9 to 1.1), beside {baseline:.3g}" in found


def test_what_was_told_apart_on_the_same_rows_speaks_for_a_baseline_and_a_published_number_is_none():
    found = beside_baselines(
        [
            metric("auc", 0.90, 0.89, 0.91, baseline=0.905, baseline_name="published: arXiv:1810.05165"),
            metric("accuracy", 0.82, 0.81, 0.83, baseline=0.80, baseline_name="boosted trees"),
            metric("auc minus that of boosted trees", 0.02, 0.018, 0.022),
            metric("auc minus that of mass", -0.01, -0.02, 0.001),
        ]
    )
    assert found == [
        "Better than the baseline, boosted trees: `auc` is higher by 0.02 (0.018 to 0.022).",
        "Not told apart from the baseline, mass: `auc` differs by -0.01 (-0.02 to 0.001) over 200 test rows. Try more rows or"
        " simulations, or a larger network.",
    ]


def test_numbers_of_which_nobody_knows_the_better_side_are_no_verdict():
    others = {"baseline": 2.0, "baseline_name": "b"}
    assert beside_baselines([metric("spread", 1, 0.9, 1.1, **others), metric("variant/auc", 1, 0.9, 1.1, **others)]) == []


def test_posteriors():
    near = {"baseline": 0.043, "baseline_name": "95% of exact posteriors stay below"}
    metrics = [metric("sbc distance a", 0.02, 0, 0.06, **near), metric("sbc distance b", 0.21, 0.17, 0.25, **near)]
    (right,) = calibrated(metrics[:1], [])
    assert right.startswith("Calibrated: ")
    assert "`sbc distance a`, 0.02 (0 to 0.06), of exact models 95% stay below 0.043" in right
    (wrong,) = calibrated(metrics, ["sbc distance b is 0.21"])
    assert wrong.startswith("Not calibrated: 1 distance is more than chance, the furthest `sbc distance b`, 0.21")
    assert "docs/calibration.md" in wrong


def test_intervals_of_quantities():
    (right,) = calibrated([metric("coverage of 68%", 0.67, 0.64, 0.7)])
    assert right.startswith("Calibrated: `coverage of 68%` is 0.67 (0.64 to 0.7)")
    assert calibrated([metric("coverage of 68%", 0.6, 0.57, 0.63)])[0].startswith("Not calibrated (too sure)")
    assert calibrated([metric("coverage of 95%", 0.99, 0.98, 1)])[0].startswith("Not calibrated (not sure enough)")
    assert calibrated([metric("rmse", 1, 0.9, 1.1)])[0].startswith("Calibrated or not: not told")


def drawn(factor=1.0, shift=0.0, n=4000):
    """Probabilities whose logits are a factor too large and shifted, and labels drawn from right ones."""
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, n)
    label = (rng.uniform(size=n) < 1 / (1 + np.exp(-logit))).astype(int)
    return 1 / (1 + np.exp(-(factor * logit + shift))), label, Units(np.arange(n))


@pytest.mark.parametrize(
    ("factor", "shift", "said"),
    [
        (1.0, 0.0, "Calibrated, as far as 4000 rows tell"),
        (2.0, 0.0, "Not calibrated (too sure)"),
        (0.5, 0.0, "Not calibrated (not sure enough)"),
        (1.0, 0.5, "probabilities too high"),
    ],
)
def test_classifiers(factor, shift, said):
    metrics = calibration(*drawn(factor, shift), draws=60)
    (found,) = calibrated(metrics)
    assert said in found
    temperature = {one.name: one for one in metrics}[TEMPERATURE]
    if shift == 0:
        assert temperature.interval[0] < factor < temperature.interval[1]
        assert ("zoo calibrate" in found) == (factor != 1)


def test_answers_that_separate_the_classes_have_no_temperature():
    assert calibration(np.array([0.1, 0.9]), np.array([0, 1]), Units(np.arange(2))) == []
    assert SHIFT not in {one.name for one in calibration(np.array([0.5, 0.5]), np.array([0, 1]), Units(np.arange(2)))}


class Page(HTMLParser):
    """Tags, and the sources of images, of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.links = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        found = dict(attrs)
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []


def test_what_is_handed_in_is_text_on_the_page(tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    write_report(
        tmp_path / "report.html",
        evil,
        [evil],
        [metric(evil, 1, 0, 2, baseline=0.5, baseline_name=evil, detail=evil)],
        {evil: Figure(figsize=(1, 1))},
        [Failure(3, evil, 1.5, evil, evil)],
        {evil: {evil: evil}},
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert page.links == []
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 12
    (image,) = page.sources
    assert base64.b64decode(image.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert "default-src &#x27;none&#x27;" in text


def test_a_page_that_cannot_be_made_leaves_the_last_one(tmp_path):
    class Broken(Figure):
        def savefig(self, *_, **__):
            raise OSError("no")

    (tmp_path / "report.html").write_text("before")
    with pytest.raises(OSError, match="no"):
        write_report(tmp_path / "report.html", "t", [], [], {"a": Broken()}, [], {})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "before")]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    import contextlib
    import io

    folder, printed = tmp_path_factory.mktemp("tuned") / "mine", io.StringIO()
    with eagerly(), pytest.warns(UserWarning, match="independent test rows"), contextlib.redirect_stdout(printed):
        model = zoo.fine_tune(released("logistic"), user_data("logistic", 100), folder=folder, epochs=2)
    return model, folder, printed.getvalue()


def test_a_fine_tuning_says_its_verdict_everywhere(tuned):
    model, folder, printed = tuned
    verdict = model.spec.verdict
    text = (folder.with_name("mine.run") / "report.html").read_text(encoding="utf-8")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "made from `tiny-logistic@2`" in card
    assert 'base_model: "tiny-logistic"\n' in card
    assert any("from scratch: `auc`" in sentence for sentence in verdict)
    assert any("the parent: `auc`" in sentence for sentence in verdict)
    assert any("alibrated" in sentence for sentence in verdict)
    assert "from 2 epochs" in verdict[-1]
    for sentence in verdict:
        assert f"- {sentence}\n" in card
        assert f"- {sentence}\n" in printed
        assert zoo.load(folder).spec.verdict == verdict
    assert all(source.startswith("data:image/png;base64,") for source in Page(text).sources)
    assert "Test rows of the largest loss" in text
    assert "tiny-logistic" in text  # where it came from
    assert SECTIONS["numbers"](model.spec.model_copy(update={"verdict": None}), ".") in card.replace(
        "\n**Verdict.**\n\n" + "".join(f"- {sentence}\n" for sentence in verdict), ""
    )


def test_the_worst_rows_are_those_of_the_largest_loss():
    class Own:
        def rows(self, split, epoch=0):
            from zoo.data.dataset import Rows

            data = user_data("mlp", 60)
            return Rows({"observed": data["observed"]}, data["answer"], np.arange(60))

    model = released("mlp")
    found = failures(model, Own())
    rows = Own().rows("test")
    squared = np.square(np.asarray(model(rows.inputs["observed"])) - rows.target).sum(axis=1)
    assert [one.row for one in found] == np.argsort(-squared)[:8].tolist()
    assert failures(object(), Own()) == []
