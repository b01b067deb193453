"""The command line as a user or a script meets it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from command_line import ok, refused, runner
from quick_training import eagerly

import zoo
from zoo.cli import app


def test_list():
    assert "ive-pendulum" in ok("list")
    found = json.loads(ok("list", "--json", "*-cmb-feature"))
    assert [model["name"] for model in found] == zoo.list_models("*-cmb-feature")
    assert "ive-pendulum" not in ok("list", "--task", "classification")


def test_show():
    shown = ok("show", "mlp-cmb-feature")
    assert "muK^2" in shown
    assert json.loads(ok("show", "mlp-cmb-feature", "--json"))["endpoints"]["predict"]["inputs"][0]["axes"][0]["size"] == 215


def test_verify():
    assert json.loads(ok("verify", "ive-pendulum", "--json"))["ok"] is True
    assert "yes" in ok("verify", "ive-pendulum")


def test_predict_on_a_file(tmp_path):
    trajectory = np.cos(np.linspace(0, 5, 50))[None].repeat(2, axis=0)
    np.savez(tmp_path / "in.npz", trajectory=trajectory, time=[[1.0], [2.0]])
    answer = json.loads(ok("predict", "ive-pendulum", "--input", tmp_path / "in.npz", "--json"))
    assert np.shape(answer["displacement"]) == (2, 1)
    np.save(tmp_path / "in.npy", trajectory)
    latents = json.loads(ok("predict", "ive-pendulum", "--endpoint", "encode", "--input", tmp_path / "in.npy", "--json"))
    assert np.shape(latents["mean"]) == (2, 3)


def test_predict_writes_arrays(tmp_path):
    ok("predict", "mlp-cmb-feature", "--out", tmp_path)
    with np.load(tmp_path / "mlp-cmb-feature-predict.npz") as file:
        assert file["probability"].shape[1:] == (1,)


def test_predict_on_an_observation(tmp_path, planck_folder):
    report = json.loads(ok("predict", "mlp-cmb-feature", "--observation", planck_folder, "--out", tmp_path, "--json"))
    assert 0 < report["answers"]["probability"][0][0] < 1
    assert report["agreement"]["TT"]["elements"] == 83
    assert report["placements"][0]["rows"] == 1280
    assert (tmp_path / "mlp-cmb-feature-predict.npz").exists()
    text = ok("predict", "mlp-cmb-feature", "--observation", planck_folder)
    assert "simulated LambdaCDM skies with at least this probability" in text
    assert "chi2 / elements against Planck's best fit  TT" in text


def test_explain_an_observation(tmp_path, planck_folder):
    ok("explain", "logistic-cmb-running", "--observation", planck_folder, "--out", tmp_path)
    assert (tmp_path / "logistic-cmb-running-integrated-gradients.png").stat().st_size > 20_000


@pytest.mark.parametrize(("name", "stem"), [("mlp-cmb-feature", "integrated-gradients"), ("ive-pendulum", "traversal")])
def test_explain(tmp_path, name, stem):
    ok("explain", name, "--out", tmp_path)
    assert (tmp_path / f"{name}-{stem}.png").stat().st_size > 5_000
    assert (tmp_path / f"{name}-{stem}.npz").exists()


def test_explain_help_lists_every_method():
    from zoo.interpret.methods import registered

    shown = ok("explain", "--help")
    assert all(f" {method} " in shown for method in registered())


@pytest.mark.parametrize(
    ("arguments", "stem"),
    [
        ("mlp-cmb-feature --method lime --patch 5", "mlp-cmb-feature-lime"),
        ("mlp-cmb-feature --method deletion_insertion --of occlusion", "mlp-cmb-feature-deletion-insertion"),
        ("mlp-cmb-feature --method randomization", "mlp-cmb-feature-randomization"),
        ("mlp-cmb-feature --method partial_dependence --features 10,12 --rows 50", "mlp-cmb-feature-partial-dependence"),
        ("mlp-cmb-feature --method permutation_importance --patch 40 --rows 100", "mlp-cmb-feature-permutation-importance"),
        ("mlp-cmb-feature --method pca --layer hidden --rows 50", "mlp-cmb-feature-pca"),
        ("cnn3d-halo-mass --method grad_cam --layer stage_1", "cnn3d-halo-mass-grad-cam"),
        ("cnn3d-halo-mass --method feature_maps --layer stage_0", "cnn3d-halo-mass-feature-maps"),
        ("gbt-halo-mass --method impurity_importance", "gbt-halo-mass-impurity-importance"),
        ("gbt-halo-mass --method occlusion", "gbt-halo-mass-occlusion"),
        ("ive-pendulum --method gradient --endpoint encode --output log_variance --target 1", "ive-pendulum-gradient"),
        ("ive-pendulum --method gradient --wrt time", "ive-pendulum-gradient"),
        ("cnn2d-cosmology --method gradient --output mean --target sigma8", "cnn2d-cosmology-gradient"),
    ],
)
def test_explain_by_any_method(tmp_path, arguments, stem):
    ok("explain", *arguments.split(), "--out", tmp_path)
    assert (tmp_path / f"{stem}.png").stat().st_size > 5_000
    assert (tmp_path / f"{stem}.npz").exists()


def test_importance_of_rows_of_a_file_needs_what_the_model_should_answer(tmp_path):
    densities = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 25))
    np.savez(tmp_path / "mine.npz", densities=densities)
    arguments = ("gbt-halo-mass", "--method", "permutation_importance", "--input", str(tmp_path / "mine.npz"))
    assert "a column or an array named target" in str(runner.invoke(app, ["explain", *arguments]).exception)
    np.savez(tmp_path / "mine.npz", densities=densities, target=densities[:, :1])
    ok("explain", *arguments, "--out", tmp_path)
    np.savez(tmp_path / "mine.npz", densities=densities, target=np.array(["top"] * 20))
    said = str(runner.invoke(app, ["explain", *arguments]).exception)
    assert "target: expected numbers, given 'top'; classes are numbered from 0 on" in said
    np.savez(tmp_path / "mine.npz", density=densities)
    message = str(runner.invoke(app, ["explain", *arguments]).exception)
    assert "expected a column densities or densities_0 to densities_24" in message
    assert "given the columns density:" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mlp-cmb-feature --method gradients", "did you mean gradient"),
        (
            "cnn2d-cosmology --method gradient --output mean --target sigma_8",
            "no element of mean named 'sigma_8'; did you mean sigma8",
        ),
        ("mlp-cmb-feature --method grad_cam", "needs a convolution, and MLP has none"),
        ("mlp-cmb-feature --method gradient --patch 3", "takes no --patch, which goes with lime, occlusion, shap"),
        ("mlp-cmb-feature --method pca --observation .", "takes no --observation"),
        ("mlp-cmb-feature --method impurity_importance", "needs trees, and MLP has none"),
        ("gbt-halo-mass --method smoothgrad", "needs gradients, and BoostedTrees has none"),
        ("gbt-halo-mass --method randomization", "needs layers of weights"),
        ("mlp-cmb-feature --method deletion", "did you mean deletion_insertion"),
        ("ive-pendulum --method gradient --endpoint encoder", "did you mean encode"),
        ("ive-pendulum --method latents --patch 3", "latents takes no --patch"),
        ("ive-pendulum --method traversal --input x.npz", "asks the model alone: leave out --input"),
        ("nsf-cmb-posterior --method permutation_importance", "answers with a log density: partial_dependence"),
    ],
)
def test_what_cannot_be_explained_is_said(tmp_path, arguments, message):
    assert message in str(runner.invoke(app, ["explain", *arguments.split(), "--out", str(tmp_path)]).exception)


def test_explain_latents(tmp_path):
    output = ok("explain", "ive-pendulum", "--method", "latents", "--rows", 300, "--out", tmp_path)
    assert "latents of ive-pendulum, 300 rows" in output
    assert "dead" in output
    assert "the test split of pendulum, as ive-pendulum records it" in output
    assert (tmp_path / "ive-pendulum-latents.png").stat().st_size > 5_000
    assert (tmp_path / "ive-pendulum-latents.npz").exists()
    table = json.loads((tmp_path / "ive-pendulum-latents.json").read_text())
    assert sorted(latent["ranked"][0] for latent in table["latents"] if latent["active"]) == ["damping", "stiffness"]


def test_explain_latents_of_a_file(tmp_path):
    """A user's own rows: inputs under their names, every other array is a quantity."""
    damping = np.random.default_rng(0).uniform(0.4, 1.2, 200)
    time = np.linspace(0, 5, 50)
    trajectory = np.exp(-0.5 * damping[:, None] * time) * np.cos(np.sqrt(6 - damping[:, None] ** 2 / 4) * time)
    np.savez(tmp_path / "mine.npz", trajectory=trajectory, friction=damping)
    output = ok("explain", "ive-pendulum", "--method", "latents", "--input", tmp_path / "mine.npz", "--out", tmp_path)
    assert "friction" in output
    assert "mine.npz" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ive-pendulum", "--rows", "5"), "--rows goes with --method latents"),
        (("ive-pendulum", "--method", "latents", "--observation", "."), "takes no --observation"),
        (("ive-pendulum", "--method", "latents", "--rows", "5"), "at least 50 rows"),
        (("mlp-cmb-feature", "--method", "latents"), "no endpoint of mlp-cmb-feature named 'encode'"),
    ],
)
def test_latents_that_cannot_be_explained(tmp_path, arguments, message):
    result = runner.invoke(app, ["explain", *arguments, "--out", str(tmp_path)])
    assert message in str(result.exception)


def test_export_and_verify(tmp_path):
    assert "parity" in ok("export", "logistic-cmb-running", "--opset", "11", "--folder", tmp_path / "out")
    assert json.loads(ok("verify", tmp_path / "out", "--json"))["ok"] is True


def test_train_then_release_to_a_folder(tmp_path):
    """A user's own short run of a recipe becomes a complete model folder: trained, judged, exported, with a card."""
    settings = ["epochs=2", "optimizer.warmup_epochs=1", "variants={}", "batch_size=64", "seeds=[0]"]
    settings += ["config.encoder=[16]", "config.decoder=[16]", "name=ive-mine"]
    settings += ["data.parameters={train: 128, validation: 64, test: 500}"]
    changes = [word for setting in settings for word in ("--set", setting)]
    with eagerly():
        output = ok("train", "ive-pendulum", *changes, "--out", tmp_path / "run")
    assert "rmse" in output
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]
    assert (tmp_path / "run" / "plots" / "learning_curves.png").exists()
    ok("release", "ive-pendulum", *changes, "--out", tmp_path / "run", "--folder", tmp_path / "mine")
    assert json.loads(ok("verify", tmp_path / "mine", "--json"))["ok"] is True
    assert zoo.load(tmp_path / "mine").spec.name == "ive-mine"


def test_wrong_name_is_one_line_with_suggestions():
    """In a process of its own."""
    command = [sys.executable, "-m", "zoo", "show", "mlp-cmb-featur"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: no model named 'mlp-cmb-featur'; did you mean mlp-cmb-feature, ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--recipe", "README.md"), "README.md: expected a recipe, a file that ends in .yaml"),
        (("train", "mlp-cmb-feature", "--set", "epoch=1"), "did you mean epochs"),
        (("predict", "mlp-cmb-feature", "--input", "nothing.npz"), "nothing.npz"),
        (("predict", "mlp-cmb-feature", "--observation", "."), "expected one COM_PowerSpect_CMB-TT"),
        (("verify", "./nowhere"), "nowhere"),
        (("simulate", "cmb-featur", "--out", "x"), "cmb-feature"),
    ],
)
def test_errors_are_one_line(arguments, message):
    assert message in refused(*arguments).splitlines()[-1]


def test_nan_in_a_file_is_named(tmp_path):
    spectrum = np.zeros((1, 215))
    spectrum[0, 7] = np.nan
    np.save(tmp_path / "bad.npy", spectrum)
    said = refused("predict", "mlp-cmb-feature", "--input", tmp_path / "bad.npy")
    assert "'spectrum'" in said
    assert "(0, 7)" in said


def test_spectrum_in_kelvin_is_refused_with_the_unit(tmp_path):
    from zoo.data.cmb.feature import load_spectra

    np.save(tmp_path / "kelvin.npy", load_spectra().best_fit[None] * 1e-12)
    assert "muK^2" in refused("predict", "mlp-cmb-feature", "--input", tmp_path / "kelvin.npy")


COMMANDS = [
    [*group, name]
    for group, of in (([], typer.main.get_command(app)), (["simulate"], typer.main.get_command(app).commands["simulate"]))
    for name in of.commands
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_option_is_cut_in_help_of_80_columns(command):
    result = runner.invoke(app, [*command, "-h"], terminal_width=80, env={"COLUMNS": "80"})
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "…" in line] == []


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
@pytest.mark.parametrize("port", ["80000", "-1"])
def test_ports_out_of_range_are_refused(option, port):
    """By gRPC the last 16 bits of 80000 would be taken, 14464."""
    result = runner.invoke(app, ["serve", "mlp-jets", option, port])
    assert result.exit_code == 2
    assert option in result.output
    assert "65535" in result.output or "0" in result.output


@pytest.mark.parametrize("title", ["recipe [/a], seed 0", "[m] x"])
def test_brackets_in_the_title_of_a_bar_are_text(title, monkeypatch):
    from rich.console import Console

    from zoo import progress
    from zoo.training.epoch_bar import Progress

    bar = Progress(title, epochs=2, done=0).bar
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(bar.get_renderable())
    assert title in console.export_text()
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    assert list(progress.track([1, 2], title)) == [1, 2]  # as markup, [/a] would raise


def test_errors_name_the_option_of_the_interface_in_use(tmp_path):
    kelvin = np.full((1, 215), 1e6)
    np.save(tmp_path / "far.npy", kelvin)
    far = ["predict", "mlp-cmb-feature", "--input", str(tmp_path / "far.npy")]
    assert "extrapolate with --allow-out-of-range" in str(runner.invoke(app, far).exception)
    assert "probability" in json.loads(ok(*far, "--allow-out-of-range", "--json"))
    spectrum = kelvin.copy()
    spectrum[0, 0] = np.nan
    np.save(tmp_path / "far.npy", spectrum)
    message = str(runner.invoke(app, far).exception)
    assert "allow_nonfinite=True in Python (zoo predict has no option for it) lets them through" in message
    (tmp_path / "there").mkdir()
    exists = runner.invoke(app, ["calibrate", "mlp-cmb-feature", "--folder", str(tmp_path / "there")])
    assert "replace the model there with --overwrite" in str(exists.exception)
    with pytest.raises(
        zoo.errors.InputError, match="extrapolate with allow_out_of_range=True"
    ):  # what the command line said is over
        zoo.serving.Session("mlp-cmb-feature").run({"spectrum": kelvin})


def test_every_option_that_an_error_names_is_there():
    """A command's parameters are called as the keywords of the API that errors know."""
    from zoo.cli.terminal import as_option

    commands = {command.name: command for command in typer.main.get_command(app).commands.values()}
    for command, names in {
        "finetune": ["columns", "inputs", "target", "task", "outputs", "group", "overwrite"],
        "calibrate": ["data", "overwrite"],
        "ensemble": ["overwrite"],
        "export": ["data", "explain", "overwrite"],
        "predict": ["allow_out_of_range"],
        "explain": ["data"],
    }.items():
        for name in names:
            assert as_option(commands[command], name, "True", "True").startswith("--"), (command, name)
    assert as_option(commands["explain"], "data", "FILE", "FILE") == "--input FILE"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("finetune mlp-jets --data mine.csv --folder mine --batch-size 0", "--batch-size: expected a number greater than 0"),
        ("finetune mlp-jets --data mine.csv --folder mine --lora 0", "--lora: expected a number greater than 0"),
        ("simulate nbody --seeds 0:1 --out mine --omega-m 9", "--omega-m: expected a number less than 1"),
        ("simulate jets --seeds 0:1 --mass 2 --sample resonance", "--mass: expected 1000 to 4000 GeV"),
    ],
)
def test_errors_begin_with_the_option_that_is_wrong(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("features\n1\n")
    assert str(runner.invoke(app, arguments.split()).exception).startswith(said)


@pytest.mark.parametrize("text", ["[m]", "[/m]", "[bold]", "[0, 1)", ":smile:", "[red]x[/blue]"])
def test_brackets_of_a_user_are_text(text, capsys):
    """Units and summaries may look like the markup of what prints them."""
    from zoo.cli.catalog_tables import brief_details
    from zoo.cli.tables import metric_table, model_details, output_table
    from zoo.cli.terminal import show
    from zoo.model.registry import get_spec

    spec = get_spec("logistic-cmb-running")
    endpoint = spec.endpoint("predict")
    odd = endpoint.model_copy(update={"outputs": [endpoint.outputs[0].model_copy(update={"unit": text})]})
    metric = spec.metrics[0].model_copy(update={"name": f"rmse {text}", "baseline": 1.0, "baseline_name": text})
    limit = spec.limit.model_copy(update={"metric": metric.name, "best": "baseline", "what": text})
    spec = spec.model_copy(update={"summary": text, "endpoints": {"predict": odd}, "metrics": [metric], "limit": limit})
    show(*model_details(spec), metric_table([metric]))
    show(output_table(spec, "predict", {"probability": np.zeros((1, 1))}, f"{text}.npy"))
    printed = "".join(capsys.readouterr().out.split())
    assert printed.count(text.replace(" ", "")) >= 8  # of ten, since narrow columns break two into lines
    show(*brief_details(spec, text))
    assert capsys.readouterr().out.count(text) >= 3  # summary, unit and name; a metric with a slash is none of the first


def test_metrics_fit_in_80_columns():
    from rich.console import Console

    from zoo.cli.tables import metric_table

    metric = zoo.get_spec("mlp-cmb-feature").metrics[0].model_copy(update={"seeds": 1})
    long = {"name": "minus that from scratch " * 3, "baseline": 0.5, "baseline_name": "b" * 90}
    many = [metric, metric.model_copy(update=long)]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(metric_table(many), metric_table([many[0].model_copy(update={"seeds": 3})]))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert "0.693 [0.676, 0.712]" in " ".join(lines)
    assert ["seeds" in line for line in lines].count(True) == 1


COLUMNS = "data as .csv, "


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("predict mlp-cmb-feature --input {}.npy", COLUMNS),
        ("predict mlp-cmb-feature --input {}.csv", COLUMNS),
        ("predict mlp-cmb-feature --input {}", COLUMNS),
        ("predict mlp-cmb-feature --observation {}", "a folder with COM_PowerSpect_CMB-TT"),
        ("predict mlp-cmb-emulator --observation {}.txt", "one observation: a .npy of one row, "),
        ("infer nsf-cmb-posterior --observation {}.npy", "one observation: a .npy of one row, "),
        ("explain mlp-cmb-feature --input {}.npy", COLUMNS),
        ("explain mlp-cmb-feature --observation {}.csv", "one observation: a .npy of one row, "),
        ("finetune mlp-cmb-feature --data {}.npy --folder mine", COLUMNS),
        ("finetune mlp-cmb-feature --data {} --folder mine", COLUMNS),
        ("calibrate mlp-cmb-feature --data {}.csv --folder mine", COLUMNS),
        ("export mlp-cmb-feature --data {}.csv --folder mine --precision int8", COLUMNS),
        ("unfold {}.csv {}.csv {}.csv --out mine", COLUMNS),
        ("find-anomalies {}.root nsf-dijet-density --region 3 4 --out mine", COLUMNS),
        ("fill-maps {}.npy --theta 0.3,0.8 --out mine", COLUMNS),
        ("fill-maps {}.h5 --out mine", COLUMNS),
        ("train --recipe {}.yaml", "a recipe (.yaml)"),
        ("release {}.yaml", "a recipe (.yaml)"),
        ("show ./{}", "the folder of a model"),
        ("predict ./{}", "the folder of a model"),
        ("ensemble ./{} ./{} --folder mine", "the folder of a model"),
        ("push {} hf://me/mine", "the folder of a model"),
    ],
)
def test_every_command_says_alike_that_a_file_is_not_there(arguments, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(*arguments.replace("{}", "nowhere").split())
    assert re.fullmatch(
        rf"error: nowhere(\.\w+)?: there is no such file or folder, expected {re.escape(expected)}.*\n", said
    ), said
    assert not list(tmp_path.glob("mine*"))


def test_help_and_version():
    assert ok("--version") == f"physzoo {zoo.__version__}\n"
    assert ok("-h") == ok("--help")
    assert "INPUT=A,B,..." in ok("finetune", "-h")


def test_a_shell_completes_commands_and_names_of_models():
    for typed, word, expected in (("zoo sh", 1, ["show"]), ("zoo show mlp-jets", 2, zoo.list_models("mlp-jets*"))):
        given = {"_ZOO_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(word)}
        result = runner.invoke(app, prog_name="zoo", env=given)
        assert result.output.split() == expected
    assert "--install-completion" in ok("-h")


def test_words_of_fine_tuning_are_those_of_the_api():
    import inspect

    from zoo.training.fine_tune import FineTuning

    command = typer.main.get_command(app).commands["finetune"]
    given = {parameter.name for parameter in command.params} - {"name"}
    assert given == {*inspect.signature(zoo.fine_tune).parameters, *FineTuning.model_fields} - {"model", "settings"}


def test_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "plain numbers" in refused("predict", "mlp-cmb-feature", "--input", tmp_path / "object.npy")


def test_infer_draws_the_posterior_of_a_file(tmp_path):
    from zoo.model.spec import TEST_TENSORS
    from zoo.model.store import locate
    from zoo.model.test_tensors import read_npz

    sky = read_npz(locate("nsf-cmb-posterior").path(TEST_TENSORS))["sample/in/spectrum"][0]
    np.save(tmp_path / "sky.npy", sky)
    report = json.loads(ok("infer", "nsf-cmb-posterior", "--observation", tmp_path / "sky.npy", "--out", tmp_path, "--json"))
    assert [parameter["name"] for parameter in report["parameters"]] == ["H0", "ombh2", "omch2", "tau", "ns", "ln10As"]
    assert report["draws"] == 10_000
    samples = read_npz(tmp_path / "nsf-cmb-posterior-sky.npz")
    assert np.all((samples["H0"] >= 64.27) & (samples["H0"] <= 70.27))
    assert samples["H0"].mean() == pytest.approx(report["parameters"][0]["mean"], rel=1e-5)
    assert (tmp_path / "nsf-cmb-posterior-sky.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["infer", "nsf-cmb-posterior"], "--observation PATH"),
        (["infer", "mlp-cmb-feature", "--observation", "."], "no conditional flow"),
        (["infer", "nsf-cmb-posterior", "--observation", "."], "Planck's binned spectra are at"),
        (["train"], "--recipe FILE"),
        (["train", "ive-pendulum", "--recipe", "mine.yaml"], "one recipe"),
        (["train", "--recipe", "missing.yaml"], "missing.yaml"),
    ],
)
def test_wrong_inference_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments)


def test_prediction_of_a_model_without_predict_is_its_first_endpoint():
    assert "log_prob" in json.loads(ok("predict", "nsf-two-moons", "--json"))


def test_export_with_explanations_and_an_ensemble(tmp_path):
    ok("export", "logistic-cmb-running", "--explain", "--folder", tmp_path / "one")
    assert "explain" in ok("verify", tmp_path / "one")
    with pytest.raises(zoo.ZooError, match="zoo export NAME --explain --folder DIR first"):
        ok("export", "logistic-cmb-running", "--explain", "--repository", tmp_path / "repository")
    with pytest.raises(zoo.ZooError, match="at least two"):
        ok("ensemble", "logistic-cmb-running", "--folder", tmp_path / "all")


def test_calibrated_classifier(tmp_path):
    assert "temperature" in ok("calibrate", "logistic-cmb-running", "--folder", tmp_path / "my-calibrated")
    assert json.loads(ok("show", tmp_path / "my-calibrated", "--json"))["lineage"]["parent"] == "logistic-cmb-running"
    with pytest.raises(zoo.ZooError, match="expected a classifier"):
        ok("calibrate", "ive-pendulum", "--folder", tmp_path / "other")


def test_free_axes_dtypes_and_open_ranges_are_shown():
    from zoo.cli.tables import model_details
    from zoo.cli.terminal import show
    from zoo.model.axes import Axis
    from zoo.model.registry import get_spec

    spec = get_spec("logistic-cmb-running")
    endpoint, free = spec.endpoint("predict"), Axis(name="hit", least=2, most=64)
    changes = [{"axes": [free], "low": 0.0, "high": None}, {"axes": [free], "dtype": "int64", "low": None, "high": 1.0}]
    tensors = [endpoint.inputs[0].model_copy(update=change) for change in changes]
    spec = spec.model_copy(update={"endpoints": {"predict": endpoint.model_copy(update={"inputs": tensors})}})
    _, endpoints, *_ = model_details(spec)
    show(endpoints)
    cells = {column.header: list(column.cells) for column in endpoints.renderables[1].columns}
    assert cells["shape"][:2] == ["(batch, hit 2 to 64)", "(batch, hit 2 to 64) int64"]
    assert cells["trained range"][:2] == ["from 0", "to 1"]


def test_tables_say_what_they_cut_and_which_elements_are_real():
    from rich.console import Console

    from zoo.cli.tables import model_details, output_table
    from zoo.model.axes import Axis
    from zoo.model.spec import Endpoint, Tensor

    axes = [Axis(name="particle", least=1, most=20)]
    mask = Tensor(name="real", axes=axes, dtype="bool", unit="1", description="which are real")
    pt = Tensor(name="pt", axes=axes, unit="GeV", description="momenta", mask="real")
    score = Tensor(name="score", axes=axes, unit="1", description="score")
    spec = zoo.get_spec("mlp-cmb-feature")
    spec = spec.model_copy(update={"endpoints": {"predict": Endpoint(description="", inputs=[pt, mask], outputs=[score])}})
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*model_details(spec), output_table(spec, "predict", {"score": np.arange(9.0)[None]}, "rows"))
    shown = console.export_text()
    assert "momenta; real where real is true" in shown
    assert "6, 7, …" in shown


def test_a_title_is_not_cut_into_the_width_of_its_table():
    from rich.console import Console

    from zoo.cli.tables import output_table

    console = Console(width=80, record=True, file=io.StringIO())
    spec = zoo.get_spec("mlp-cmb-feature")
    console.print(output_table(spec, "predict", {"probability": np.zeros((4, 1))}, "/a/folder/spectra.npz"))
    assert "mlp-cmb-feature predict on /a/folder/spectra.npz: 4 rows\n" in console.export_text()


def test_a_folder_is_named_as_a_shell_takes_it():
    from pathlib import Path

    from zoo.cli.terminal import as_argument

    assert as_argument(Path("my-feature")) == "./my-feature"
    assert as_argument(Path("my runs/a")) == "'./my runs/a'"
    assert as_argument(Path("/data/my-feature")) == "/data/my-feature"


def test_columns_of_other_names_and_units_are_said_at_predict(tmp_path):
    """A file of hours in a column of another name gives what the model says of the same seconds."""
    rng = np.random.default_rng(0)
    file, trajectory, time = tmp_path / "mine.npz", rng.uniform(-1, 1, (4, 50)), rng.uniform(0, 5, 4)
    np.savez(file, x=trajectory, t=time / 3600)
    ok(
        *("predict", "ive-pendulum", "--input", file, "--columns", "trajectory=x", "--columns", "time=t"),
        *("--units", "t=h", "--out", tmp_path / "theirs"),
    )
    np.savez(file, trajectory=trajectory, time=time)
    ok("predict", "ive-pendulum", "--input", file, "--out", tmp_path / "ours")
    theirs, ours = (dict(np.load(tmp_path / one / "ive-pendulum-predict.npz")) for one in ("theirs", "ours"))
    for name, array in ours.items():
        np.testing.assert_allclose(theirs[name], array, atol=1e-5)


def test_columns_of_other_names_and_units_are_said_at_explain(tmp_path):
    rng = np.random.default_rng(0)
    densities = rng.uniform(-0.02, 0.02, (40, 25))
    np.savez(tmp_path / "mine.npz", d=densities, target=densities[:, :1])
    for method in ("occlusion", "partial_dependence --features 0"):
        command = ("explain", "gbt-halo-mass", "--method", *method.split(), "--input", tmp_path / "mine.npz", "--out", tmp_path)
        assert "expected a column densities" in refused(*command)
        assert "no column of" in refused(*command, "--columns", "densities=e")
        assert "--units: expected those of columns" in refused(*command, "--columns", "densities=d", "--units", "target=1")
        ok(*command, "--columns", "densities=d")
    assert "--columns is of columns of --input" in refused("explain", "gbt-halo-mass", "--columns", "densities=d")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--input mine.csv", "rename the columns, or say which they are, --columns trajectory=NAME,NAME,..."),
        ("--input mine.csv --columns angle=x", "--columns: expected those of the inputs trajectory, time, given some of angle"),
        ("--input mine.csv --columns trajectory", "expected --columns NAME=VALUE, given 'trajectory'"),
        ("--input mine.csv --columns trajectory=y", "no column of mine.csv named 'y'"),
        ("--columns time=x", "--columns is of columns of --input: give the file too"),
        ("--input mine.npy --units x=ms", "--units: expected with a file of columns, given with mine.npy"),
        (
            "--input mine.npz --units spare=ms",
            "--units: expected those of columns that inputs are read from, trajectory to time, given spare",
        ),
        ("--out mine.csv", "--out: expected a folder, in which files have names of their own, given mine.csv"),
        ("--out results.csv", "--out: expected a folder"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_with_the_option(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("x,t\n1,2\n")
    np.save("mine.npy", np.ones((1, 50)))
    np.savez("mine.npz", trajectory=np.ones((1, 50)), time=np.ones(1), spare=np.ones(1))
    assert said in str(runner.invoke(app, ["predict", "ive-pendulum", *arguments.split()]).exception)


@pytest.mark.parametrize("command", ["predict efn-quark-gluon --input", "finetune efn-quark-gluon --folder mine --data"])
def test_pseudorapidity_is_not_taken_for_rapidity(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("jets.npz", pt=np.ones((2, 3)), jet_eta=np.ones((2, 3)), phi=np.ones((2, 3)))
    named = runner.invoke(app, [*command.split(), "jets.npz", "--columns", "particles=pt,jet_eta,phi"]).exception
    assert "given jet_eta, the pseudorapidity" in str(named)
    assert "zoo.data.jets.from_root" in str(named)
    assert "zoo.data.jets.from_root" in str(runner.invoke(app, [*command.split(), "jets.npz"]).exception)
