"""Simulated spectra against CAMB itself, Knox's formula and Planck's public files."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.cmb.binning import CHANNELS, EDGES, L_MAX, N_BINS, N_JOINT, SLICES, bin_spectra, binning_matrix, joint_multipoles
from zoo.data.cmb.extensions import (
    DARK_ENERGY,
    EARLY,
    HIDDEN,
    RADIATION,
    RUNNING,
    ExtensionConfig,
    spectra_of,
    transfers_of,
)
from zoo.data.cmb.feature import CMBFeature, load_spectra
from zoo.data.cmb.noise import knox_covariance, noise_spectrum
from zoo.data.cmb.planck import read_planck
from zoo.data.cmb.simulate import (
    BEST_FIT,
    FEATURE_RANGES,
    RANGES,
    SimulationConfig,
    best_fit_spectra,
    design,
    primordial_power,
    simulate,
    simulate_cosmology,
    spectra,
    transfer_functions,
)
from zoo.data.shipped_files import shipped_file
from zoo.errors import FolderError, InputError

PRIMORDIAL = {"ns": BEST_FIT["ns"], "ln10As": BEST_FIT["ln10As"]}


@pytest.fixture(scope="module")
def transfers():
    return transfer_functions(BEST_FIT)


@pytest.fixture(scope="module")
def best_fit(transfers):
    """The spectra of the best fit, with the transfer functions that others take too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "zoo.data.cmb.simulate.transfer_functions", lambda cosmology: transfers if cosmology == BEST_FIT else None
        )
        return best_fit_spectra()


def test_binning_is_that_of_planck(planck_folder):
    assert N_BINS == {"TT": 83, "TE": 66, "EE": 66}
    assert N_JOINT == 215
    np.testing.assert_allclose(joint_multipoles(), read_planck(planck_folder).multipole, atol=1e-4)


def test_flat_band_power_keeps_its_value():
    """D_l = l(l+1) C_l / 2 pi with C_l constant in a bin gives D_b = l_b (l_b + 1) C / 2 pi."""
    ell = np.arange(L_MAX["TT"] + 1)
    for channel in CHANNELS:
        np.testing.assert_allclose(
            binning_matrix(channel) @ (ell * (ell + 1.0)),
            joint_multipoles()[SLICES[channel]] * (joint_multipoles()[SLICES[channel]] + 1),
        )


def test_best_fit_is_that_of_planck(best_fit, planck_folder):
    """CAMB at Planck's parameters agrees with the best fit of the public files to a quarter of the error bars."""
    planck = read_planck(planck_folder)
    assert np.abs((bin_spectra(best_fit) - planck.best_fit) / planck.error).max() < 0.25


def test_errors_are_those_of_planck(best_fit, planck_folder):
    """Knox's formula with seven survey numbers, within 25% of every error bar of the public files."""
    error = np.sqrt(np.diag(knox_covariance(best_fit)))
    ratio = error / read_planck(planck_folder).error
    assert ratio.min() > 0.8
    assert ratio.max() < 1.25


def test_planck_agrees_with_its_best_fit(planck_folder):
    planck = read_planck(planck_folder)
    pulls = (planck.d_ell - planck.best_fit) / planck.error
    for channel in CHANNELS:
        assert 0.6 < np.mean(pulls[SLICES[channel]] ** 2) < 1.4


def test_covariance_is_that_of_simulated_skies(best_fit):
    """Spectra of Gaussian a_lm with the same C_l scatter as the formula says (full sky, bins of 30 multipoles)."""
    rng = np.random.default_rng(0)
    lo, hi = EDGES["TT"][9]
    ell = np.arange(lo, hi)
    to_c = 2 * np.pi / (ell * (ell + 1.0))
    total = {ch: best_fit[ch][lo:hi] * to_c for ch in CHANNELS}
    total["TT"] += noise_spectrum("T", ell)
    total["EE"] += noise_spectrum("E", ell)
    skies = 2000
    samples = np.empty((skies, 3, ell.size))
    for i, (multipole, tt, te, ee) in enumerate(zip(ell, total["TT"], total["TE"], total["EE"], strict=True)):
        chol = np.linalg.cholesky([[tt, te], [te, ee]])
        t, e = np.einsum("ij,jsm->ism", chol, rng.standard_normal((2, skies, 2 * multipole + 1)))
        samples[:, :, i] = np.stack([(t * t).mean(-1), (t * e).mean(-1), (e * e).mean(-1)], axis=-1) / to_c[i]
    binned = samples @ binning_matrix("TT")[9, lo:hi]
    found = np.corrcoef(binned.T)
    rows = [SLICES[ch].start + 9 for ch in CHANNELS]
    covariance = knox_covariance(best_fit)[np.ix_(rows, rows)]
    error = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found, covariance / np.outer(error, error), atol=0.05)
    sky = np.sqrt([0.611, 0.806, 0.858])
    np.testing.assert_allclose(binned.std(axis=0), error * sky, rtol=0.05)


def test_zero_amplitude_is_camb_itself(transfers):
    """Our splined primordial table against CAMB's own power law."""
    import camb

    params = transfers.Params.copy()
    params.InitPower = camb.InitialPowerLaw(As=1e-10 * np.exp(BEST_FIT["ln10As"]), ns=BEST_FIT["ns"])
    total = camb.get_results(params).get_total_cls(lmax=L_MAX["TT"], CMB_unit="muK")
    ours = spectra(transfers, **PRIMORDIAL)
    np.testing.assert_allclose(ours["TT"][2:], total[2:, 0], rtol=1e-4)
    np.testing.assert_allclose(ours["EE"][2:], total[2:, 1], rtol=1e-4)


@pytest.mark.parametrize(("feature", "k"), [("logarithmic", [0.05, 0.05 * np.e]), ("linear", [0.1, 0.15])])
def test_primordial_power_is_the_published_form(feature, k):
    power = primordial_power(np.array(k), ns=1.0, ln10As=0.0, amplitude=0.1, frequency=np.pi, phase=0.0, feature=feature)
    np.testing.assert_allclose(power, 1e-10 * np.array([1.1, 0.9]))


def test_running_is_cambs(transfers):
    import camb

    transfers.power_spectra_from_transfer(
        camb.InitialPowerLaw(As=1e-10 * np.exp(BEST_FIT["ln10As"]), ns=BEST_FIT["ns"], nrun=RUNNING)
    )
    total = transfers.get_total_cls(lmax=L_MAX["TT"], CMB_unit="muK")
    ours = spectra_of("running", transfers, PRIMORDIAL)
    np.testing.assert_allclose(ours["TT"][2:], total[2:, 0], rtol=1e-4)
    np.testing.assert_allclose(ours["EE"][2:], total[2:, 1], rtol=1e-4)


@pytest.mark.parametrize(("universe", "strength"), [("lensing 1.1", 1.1), ("lensing 1.2", 1.2)])
def test_lensing_is_that_of_a_stronger_potential(transfers, universe, strength):
    ours = spectra_of(universe, transfers, PRIMORDIAL)
    potential = transfers.get_lens_potential_cls()[:, 0] * strength
    total = transfers.get_lensed_cls_with_spectrum(potential, lmax=L_MAX["TT"], CMB_unit="muK")
    np.testing.assert_allclose(ours["TT"][2:], total[2:, 0], rtol=1e-6)


def test_a_step_leaves_the_spectra_of_large_scales_lower(transfers):
    """Far from the pivot the primordial power is 1% lower on one side and 1% higher on the other."""
    step, plain = (spectra_of(universe, transfers, PRIMORDIAL)["TT"] for universe in ("step", "LambdaCDM"))
    assert (step[100:200] / plain[100:200]).mean() == pytest.approx(0.99, abs=1e-3)
    assert (step[1500:2000] / plain[1500:2000]).mean() == pytest.approx(1.01, abs=1e-3)


HERE = {name: BEST_FIT[name] for name in ("H0", "ombh2", "omch2", "tau")}


def moved(universe):
    return {name: value + HIDDEN[universe].get(name, 0.0) for name, value in HERE.items()}


def test_evolving_dark_energy_is_cambs_parametrization(transfers):
    """H(z) is that of w0 + wa z / (1 + z), at the same H0."""
    z = 0.7
    evolving = transfers_of("w0wa", HERE, 1.0)
    w0, wa = DARK_ENERGY["w"], DARK_ENERGY["wa"]
    density = (1 + z) ** (3 * (1 + w0 + wa)) * np.exp(-3 * wa * z / (1 + z))
    dark = transfers.get_Omega("de") * (density - 1) * BEST_FIT["H0"] ** 2
    expected = np.sqrt(transfers.hubble_parameter(z) ** 2 + dark)
    assert evolving.hubble_parameter(z) == pytest.approx(expected, rel=1e-4)


def test_early_dark_energy_is_a_tenth_of_all_at_its_redshift():
    early, plain = transfers_of("early dark energy", HERE, 1.0), transfer_functions(moved("early dark energy"), 1.0)
    for z, share in ((EARLY["zc"], EARLY["fde_zc"]), (10.0, 0.0)):
        ratio = (plain.hubble_parameter(z) / early.hubble_parameter(z)) ** 2
        assert 1 - ratio == pytest.approx(share, abs=2e-3)


def test_more_neutrinos_are_radiation():
    """A neutrino has 7/8 (4/11)^(4/3) of the energy of the photons, whose Omega h^2 is 2.473e-5 at 2.7255 K."""
    more, plain = transfers_of("N_eff", HERE, 1.0), transfer_functions(moved("N_eff"), 1.0)
    h, z = moved("N_eff")["H0"] / 100, 2e5
    added = RADIATION * 7 / 8 * (4 / 11) ** (4 / 3) * 2.473e-5 / h**2 * (100 * h) ** 2 * (1 + z) ** 4
    difference = more.hubble_parameter(z) ** 2 - plain.hubble_parameter(z) ** 2
    assert difference == pytest.approx(added, rel=2e-3)


@pytest.mark.parametrize("universe", ["N_eff", "early dark energy"])
def test_hidden_universes_keep_the_angle_of_the_sound_horizon(transfers, universe):
    """The peaks stay where they are, of a horizon that is smaller by 2 to 4%."""
    found, plain = (one.get_derived_params() for one in (transfers_of(universe, HERE, 1.0), transfers))
    assert found["thetastar"] == pytest.approx(plain["thetastar"], rel=1e-3)
    assert 0.955 < found["rstar"] / plain["rstar"] < 0.985


@pytest.mark.parametrize(("universe", "least"), [("N_eff", 2.9), ("early dark energy", 6.0)])
def test_what_hides_is_not_told_by_the_parameters_of_lambda_cdm(universe, least):
    """Moving them, as spectra of LambdaCDM depend on them, explains little of the shift and takes them nowhere.

    By the shipped spectra alone: the derivatives are a linear fit to those of LambdaCDM.
    """
    found = load_spectra(shipped_file("cmb-early.npz"), ExtensionConfig)
    plain, other = (found.spectra[:, :, found.config.universes.index(one)] for one in ("LambdaCDM", universe))
    drawn = design(found.config)
    columns = [np.broadcast_to(drawn[name].reshape(len(plain), -1), plain.shape[:2]).reshape(-1) for name in RANGES]
    unit = [column / np.diff(RANGES[name]) for name, column in zip(RANGES, columns, strict=True)]
    rows = np.stack([np.ones(len(unit[0])), *unit], axis=1)
    whiten = np.linalg.cholesky(found.covariance)
    fitted = np.linalg.lstsq(rows, np.linalg.solve(whiten, plain.reshape(-1, N_JOINT).T).T, rcond=None)[0][1:]
    derivatives = np.delete(fitted, list(RANGES).index("tau"), axis=0)  # which the amplitude stands for
    shift = np.linalg.solve(whiten, (other - plain).mean(axis=(0, 1)))
    moved_by = np.linalg.lstsq(derivatives.T, shift, rcond=None)[0]
    left = shift - derivatives.T @ moved_by
    assert np.square(left).sum() == pytest.approx(least, rel=0.35)
    assert np.square(left).sum() > 0.5 * np.square(shift).sum()
    assert np.abs(moved_by).max() < 0.1  # of the width of the hypercube


def test_extensions_are_made_in_pairs(transfers, tmp_path, monkeypatch):
    """A killed run goes on, and each spectrum is that of its universe."""
    asked = []

    def known(cosmology, boost, **background):
        asked.append(list(background))
        return transfers

    monkeypatch.setattr("zoo.data.cmb.extensions.transfer_functions", known)
    config = ExtensionConfig(cosmologies=2, pairs=1, universes=("LambdaCDM", "w0wa", "running"))
    first = simulate(tmp_path, config, jobs=1)
    assert asked == [[], ["dark_energy"]] * 2
    found = load_spectra(first, ExtensionConfig)
    assert found.config == config
    drawn = {name: float(design(config)[name][1, 0]) for name in ("ns", "ln10As")}
    expected = [bin_spectra(spectra_of(universe, transfers, drawn)) for universe in ("LambdaCDM", "LambdaCDM", "running")]
    np.testing.assert_allclose(found.spectra[1, 0], expected, atol=1e-3 * found.error.max())
    simulate(tmp_path, config, jobs=1)
    assert len(asked) == 4
    with pytest.raises(FolderError):
        simulate(tmp_path, ExtensionConfig(cosmologies=2, pairs=1), jobs=1)


@pytest.fixture(scope="module")
def fine_transfers():
    return transfer_functions(BEST_FIT, l_sample_boost=10.0)


@pytest.mark.parametrize("feature", ["logarithmic", "linear"])
def test_feature_is_resolved(transfers, fine_transfers, feature):
    """The fastest oscillation, against a sampling in l twice as fine: within 1.5% of the feature's largest bin.

    Interpolation errs with the square of the spacing or more steeply: the reference by at most a quarter of what is looked
    for, which then is below 2%.
    """
    fine, oscillation = fine_transfers, {"amplitude": 0.05, "frequency": FEATURE_RANGES["frequency"][1], "phase": 0.3}

    def effect(t):
        return bin_spectra(spectra(t, feature, **PRIMORDIAL, **oscillation)) - bin_spectra(spectra(t, **PRIMORDIAL))

    error = np.sqrt(np.diag(load_spectra().covariance))
    ours, reference = effect(transfers) / error, effect(fine) / error
    assert np.abs(ours - reference).max() < 0.015 * np.abs(reference).max()


def test_design_is_a_latin_hypercube():
    drawn = design(SimulationConfig(cosmologies=50, pairs=2))
    for name, (low, high) in RANGES.items():
        values = np.sort(drawn[name].ravel())
        strata = np.floor((values - low) / (high - low) * values.size).astype(int)
        assert np.array_equal(strata, np.arange(values.size)), name


def test_shipped_spectra_are_what_the_simulator_gives():
    """One cosmology simulated anew: 16-bit storage stays below 1e-3 of the noise."""
    shipped = load_spectra()
    anew = simulate_cosmology(3, shipped.config)
    assert np.abs((shipped.spectra[3] - anew) / shipped.error).max() < 1e-3


def test_simulation_resumes_and_refuses_another_config(tmp_path, monkeypatch, best_fit):
    """What is made and kept, with one cosmology of CAMB's in place of each: that of an index is tested above."""
    made = []

    def simulated(index, config):
        made.append(index)
        return np.outer(1 + 0.01 * np.arange(2), bin_spectra(best_fit))[None] * (1 + 0.1 * index)

    monkeypatch.setattr("zoo.data.cmb.simulate.simulate_cosmology", simulated)
    monkeypatch.setattr("zoo.data.cmb.simulate.best_fit_spectra", lambda: best_fit)
    config = SimulationConfig(cosmologies=2, pairs=1)
    simulate(tmp_path, config, jobs=1)
    first = tmp_path / "cosmology-00000.npy"
    stamp = first.stat().st_mtime_ns
    (tmp_path / "cosmology-00001.npy").unlink()
    path = simulate(tmp_path, config, jobs=1)
    assert first.stat().st_mtime_ns == stamp
    assert made == [0, 1, 1]
    kept = load_spectra(path)
    assert kept.spectra.shape == (2, 1, 2, 215)
    # Sixteen bits of each bin's range, here 11% of the spectra, are exact to a part in a million.
    np.testing.assert_allclose(kept.spectra, [simulated(index, config) for index in range(2)], rtol=2e-6)
    with pytest.raises(FolderError, match="another folder"):
        simulate(tmp_path, SimulationConfig(cosmologies=3, pairs=1), jobs=1)


@pytest.mark.parametrize("noise", [True, False])
def test_splits_share_no_cosmology(noise):
    data = CMBFeature(noise=noise)
    groups = {split: set(data.rows(split).group) for split in ("train", "validation", "test")}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert not groups["validation"] & groups["test"]
    assert sum(map(len, groups.values())) == load_spectra().config.cosmologies


def test_rows_come_in_pairs_that_differ_in_the_feature_alone():
    rows = CMBFeature(noise=False).rows("test")
    assert rows.target[:, 0].tolist() == [0, 1] * (len(rows) // 2)
    for name in ("H0", "tau", "ns", "ln10As"):
        assert np.array_equal(rows.truth[name][::2], rows.truth[name][1::2])
    assert np.isnan(rows.truth["log10_amplitude"][::2]).all()
    spectrum = rows.inputs["spectrum"]
    effect = np.abs(spectrum[1::2] / spectrum[::2] - 1)[:, SLICES["TT"]].max(axis=1)
    amplitude = 10 ** rows.truth["log10_amplitude"][1::2]
    assert np.corrcoef(np.log(effect), np.log(amplitude))[0, 1] > 0.9


def test_noise_is_new_each_epoch_of_training_alone():
    data = CMBFeature(noise=True)
    first, again, other = (data.rows("train", epoch).inputs["spectrum"] for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(data.rows("test", 0).inputs["spectrum"], data.rows("test", 1).inputs["spectrum"])
    clean = CMBFeature(noise=False).rows("train").inputs["spectrum"]
    pulls = (other - clean) / load_spectra().error
    assert abs(pulls.std() - 1) < 0.01


def _write_planck(folder, planck, **changes):
    for channel in CHANNELS:
        rows = np.stack([planck.multipole, planck.d_ell, planck.error, planck.error, planck.best_fit], axis=1)[SLICES[channel]]
        np.savetxt(folder / f"COM_PowerSpect_CMB-{channel}-binned_R3.01.txt", changes.get(channel, lambda x: x)(rows))


@pytest.fixture
def planck_like():
    """A table in Planck's format from our own simulation, so that the reader is tested without the public files."""
    from zoo.data.cmb.planck import PlanckSpectra

    shipped = load_spectra()
    return PlanckSpectra(joint_multipoles(), shipped.best_fit, shipped.error, shipped.best_fit)


def test_reader_joins_the_channels(tmp_path, planck_like):
    _write_planck(tmp_path, planck_like)
    np.testing.assert_allclose(read_planck(tmp_path).d_ell, planck_like.d_ell)


def _with_nan(rows):
    rows[3, 1] = np.nan
    return rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "expected 66 bins"),
        (lambda rows: rows[:, :3], "5 columns"),
        (lambda rows: rows + np.array([15.0, 0, 0, 0, 0]), "Planck's binning"),
        (_with_nan, "NaN"),
    ],
)
def test_reader_refuses(tmp_path, planck_like, change, message):
    _write_planck(tmp_path, planck_like, TE=change)
    with pytest.raises(InputError, match=message):
        read_planck(tmp_path)


def test_reader_names_a_missing_file(tmp_path, planck_like):
    _write_planck(tmp_path, planck_like)
    (tmp_path / "COM_PowerSpect_CMB-EE-binned_R3.01.txt").unlink()
    with pytest.raises(FileNotFoundError, match="CMB-EE"):
        read_planck(tmp_path)
