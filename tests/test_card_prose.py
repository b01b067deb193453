"""Numbers in the prose of cards are those of the files that commands wrote."""

from __future__ import annotations

import json
import math
import re
import statistics
from pathlib import Path

import pytest

from zoo.data.cmb.extensions import HIDDEN, RADIATION
from zoo.data.cmb.simulate import N_EFF
from zoo.data.halos.synthetic_halo import AXIS_RATIO, CONCENTRATION, LOG_MASS, LOG_PARTICLES, TRUNCATION

ROOT = Path(__file__).parents[1]


def prose(name: str) -> str:
    """A card on one line, so that a sentence is found wherever it is broken."""
    return " ".join((ROOT / "model_cards" / name / "README.md").read_text(encoding="utf-8").split())


def measured(name: str) -> dict[str, dict]:
    content = json.loads((ROOT / "model_cards" / name / "metrics.json").read_text(encoding="utf-8"))
    return {metric["name"]: metric for metric in content["metrics"]} | {"curves": content["curves"]}


def values(name: str) -> dict[str, float]:
    return {metric: content["value"] for metric, content in measured(name).items() if metric != "curves"}


def result(name: str) -> dict:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def over_seeds(metric: dict) -> str:
    """Mean and deviation over seeds, as the metric's detail has them."""
    return re.search(r"over \d+ seeds: (\S+ \+- [\d.]+)", metric["detail"])[1]


def interval(metric: dict, digits: int) -> str:
    return "{:.{d}f} to {:.{d}f}".format(*metric["interval"], d=digits)


def explained(found: dict[str, dict], part: str) -> float:
    """Share of the variance of profiles about their mean, beyond noise, that the model explains."""
    model, mean, noise = (
        found[f"300-particles/scatter {part}{of}"]["value"] ** 2
        for of in ("", " of the mean profile", " of the particles' noise")
    )
    return 1 - (model - noise) / (mean - noise)


def test_three_trainings_are_closer_to_nuts_than_one():
    together, alone = "nsf-cmb-posterior-ensemble", "nsf-cmb-posterior"
    card, one, three = prose(together), measured(alone), measured(together)
    mean, scatter = map(float, over_seeds(one["log_prob"]).split(" +- "))
    assert f"{three['log_prob']['value'] - mean:.3f} more than in the mean of the three members ({mean:.3f})" in card
    assert f"whose scatter over seeds is {scatter:.3f}" in card
    assert f"a member has {one['c2st']['value']:.3f} ({interval(one['c2st'], 3)}) there" in card
    nuts, told = result("posterior_hmc")["models"], []
    for name in (together, alone):
        summary, planck = nuts[name]["summary"], nuts[name]["skies"]["Planck"]
        told += [summary["c2st_mean"], summary["c2st_max"], planck["c2st"]]
    words = "C2ST is {:.3f} on average, {:.3f} at most and {:.3f} on Planck's sky, of one training {:.3f}, {:.3f} and {:.3f}"
    assert words.format(*told) in card


def test_latents_of_simulated_halos():
    card, found, noise = prose("ive-halo-profile-3"), measured("ive-halo-profile-3"), result("halo_noise")
    inside = [radius < 0.72 for radius in found["curves"]["query"]]
    most = max(value for curve in found["curves"]["information"] for value, near in zip(curve, inside, strict=True) if near)
    assert most < 0.03
    assert "Below 0.7 R200m none holds more than 0.03 nat" in card
    values = [f"{prefix}scatter inside R200m{of}" for prefix, of in (("", " of the mean profile"), ("", ""), ("1-latent/", ""))]
    mean, own, single = (f"{found[value]['value']:.3f}" for value in values)
    assert f"scatters by {mean} dex inside R200m where the model scatters by {own}, with one latent by {single}" in card
    ratio = found["scatter outside R200m over that of 2-latents"]
    assert f"{ratio['value']:.3f} ({interval(ratio, 3)}) of that with two" in card
    assert ratio["interval"][1] > 1
    center, deviation = (f"{float(number):.3f}" for number in over_seeds(ratio).split(" +- "))
    assert f"{center} +- {deviation} over three" in card
    one, two = (f"{found[f'{variant}/scatter outside R200m']['value']:.3f}" for variant in ("1-latent", "2-latents"))
    assert f"{one} dex with one, {two} with two" in card
    covered = found["coverage of 68%"]["value"]
    assert f"those of 68% hold {covered:.0%}" in card
    scatters = [
        found[f"300-particles/scatter inside R200m{of}"]["value"]
        for of in ("", " of the particles' noise", " of the mean profile")
    ]
    assert (
        "it has {:.3f} dex inside R200m where the noise of `metrics.json` is {:.3f} and the mean profile {:.3f}".format(
            *scatters
        )
        in card
    )
    assert explained(found, "inside R200m") == pytest.approx(1 / 3, abs=0.02)
    assert f"a third of the variance beyond noise, and {explained(found, 'outside R200m'):.0%} outside" in card
    halos = noise["100 particles"]
    given, outside = (halos["explained"][f"{part} R200m, given R200m"] for part in ("inside", "outside"))
    for share in (given, outside):
        low, high = (round(100 * end) for end in share["interval"])
        assert f"{share['value']:.0%} ({low} to {high})" in card
    number = {2: "two", 3: "three", 4: "four", 5: "five", 6: "all"}[noise["simulations"]]
    assert f"halos of {number} of the six test simulations" in card


def test_noise_that_knows_how_many_particles_are_within_lies_below_the_scatter():
    """The estimate of the released card does not, which no noise can."""
    found = result("halo_noise")["100 particles"]["scatter"]
    model, poisson, given = (found[name] for name in ("ive-halo-profile-3", "noise, poisson", "noise, given R200m"))
    assert all(noise < scatter for noise, scatter in zip(given, model, strict=True))
    radius = result("halo_noise")["radius"]
    assert all(noise > scatter for r, noise, scatter in zip(radius, poisson, model, strict=True) if r < 0.4)


def test_latents_of_synthetic_halos():
    card, found = prose("ive-synthetic-halo"), measured("ive-synthetic-halo")
    apart = found["separation"]
    center, deviation = (f"{float(number):.1f}" for number in over_seeds(apart).split(" +- "))
    low, high = (f"{end:.0f}" for end in apart["interval"])
    assert f"it is {apart['value']:.1f} in the released training, but {center} +- {deviation} over three" in card
    assert f"anywhere between {low} and {high}." in card
    assert f"which is {found['without-particle-noise/median error']['value']:.4f}" in card
    fit, own = found["scatter of the formula fitted to each halo"]["value"], found["scatter"]["value"]
    assert 7 < own / fit < 8
    assert f"seven times closer**: {fit:.4f} dex where the network has {own:.4f}" in card


def test_ranges_of_synthetic_halos():
    """The released numbers are of these: the mean profile's scatter comes out again to all digits."""
    card = prose("ive-synthetic-halo")
    assert "{:g} to {:g}), truncation radius ({} to {} R200m)".format(*CONCENTRATION, *TRUNCATION) in card
    assert "least over greatest axis ({:g} to {:g})".format(*AXIS_RATIO) in card
    assert "{:g} to {:g} in log10 of M200m".format(*LOG_MASS) in card
    assert "{:,.0f} to {:,.0f} particles within R200m".format(*(10**end for end in LOG_PARTICLES)) in card


def test_distance_of_flows_for_slcp_is_that_of_the_table():
    table = result("c2st")["results"]["recipe"]["slcp, 100000"]
    card, found = prose("nsf-sbi-slcp"), measured("nsf-sbi-slcp")
    assert f"C2ST {table['mean']:.3f}; published {table['published']['NPE']}" in card
    assert f"it has {found['log_prob of the exact posterior']['value']:.3f} nat on the same rows" in card
    assert f"with a C2ST of {found['c2st']['value']:.3f} ({interval(found['c2st'], 3)})" in card


@pytest.mark.parametrize("name", ["cnn3d-halo-mass", "cnn3d-halo-mass-spherical", "gbt-halo-mass", "nsf-halo-mass"])
def test_particles_that_end_in_no_halo_of_the_range(name):
    card, found = prose(name), result("halo_mass_elsewhere")
    assert f"of all particles {found['outside']['share']:.0%} end in a smaller halo, a heavier one or none" in card
    if name == "cnn3d-halo-mass":
        said = f"a median of {found['log_mass']['50%']:.2f} with a stated deviation of {found['median scale']:.2f} dex"
        assert said in card


def test_no_page_says_that_masses_are_painted():
    pages = [path for folder in ("docs", "examples", "model_cards") for path in (ROOT / folder).rglob("*.md")]
    assert not [path for path in [ROOT / "README.md", *pages] if re.search(r"paints? mass", path.read_text(encoding="utf-8"))]


def test_images_are_no_example_of_disentanglement():
    found = measured("bvae-shapes3d")
    assert found["MIG"]["value"] < 0.3
    assert "**Here they do not**" in prose("bvae-shapes3d")
    assert json.loads((ROOT / "model_cards/bvae-shapes3d/model.json").read_text())["summary"].startswith("teaching model")


SHOWERS = {"alphaS up": "10% higher", "alphaS down": "10% lower", "color reconnection": "another model of color reconnection"}
"""Varied showers, in the words of the cards."""


def expect_what_showers_move(card: str, found: dict) -> None:
    """What the card says that the cut keeps is what was measured."""
    gluons = found["alphaS up/gluon passing 50% of quark"]["baseline"]
    assert f"keeps half of the quarks and {gluons:.1%} of the gluons" in card
    for label, words in SHOWERS.items():
        kept = [found[f"{label}/{kind} passing 50% of quark"]["value"] for kind in ("quark", "gluon")]
        assert "{}, {:.0%} and {:.1%}".format(words, *kept) in card


@pytest.mark.parametrize("name", ["efn-quark-gluon", "pfn-quark-gluon"])
def test_taggers_of_quarks_and_gluons(name):
    card, found = prose(name), measured(name)
    assert f"Over three seeds the area is {over_seeds(found['auc'])}." in card
    trees, multiplicity, mass = (found[f"{other}/auc"]["value"] for other in ("boosted trees", "multiplicity", "mass"))
    assert f"have {trees:.3f}; multiplicity alone has {multiplicity:.3f}, the mass {mass:.3f}" in card
    few = [found[f"{n}k-jets/auc"]["value"] for n in (10, 30, 100)]
    assert "{:.3f} with 10,000, {:.3f} with 30,000, {:.3f} with 100,000".format(*few) in card
    expect_what_showers_move(card, found)


@pytest.mark.parametrize("name", ["particlenet-quark-gluon", "part-quark-gluon"])
def test_taggers_that_see_more_than_one_particle(name):
    card, found = prose(name), measured(name)
    ahead = found["auc minus that of boosted trees"]
    low, high = ahead["interval"]
    trees, multiplicity, mass = (found[f"{other}/auc"]["value"] for other in ("boosted trees", "multiplicity", "mass"))
    assert f"have {trees:.4f}, which is {ahead['value']:.4f} ({low:.4f} to {high:.4f}) less" in card
    assert f"multiplicity alone has {multiplicity:.3f}, the mass {mass:.3f}" in card
    assert f"sees each particle by itself, has {values('pfn-quark-gluon')['auc']:.4f} on the same test jets" in card
    if name == "part-quark-gluon":
        seeds = over_seeds(measured("pfn-quark-gluon")["auc"]).partition(" +- ")[2]
        assert f"three of `pfn-quark-gluon` differ by {seeds}." in card
    else:
        assert f"over them the area is {over_seeds(found['auc'])}." in card
    expect_what_showers_move(card, found)
    areas = [found[f"{shower}/auc"]["value"] for shower in SHOWERS]
    assert f"The area itself is {min(areas):.3f} to {max(areas):.3f}" in card


@pytest.mark.parametrize("name", ["mlp-jets", "mlp-jets-trigger", "particlenet-jets"])
def test_what_another_shower_moves_of_five_classes(name):
    found, card = values(name), prose(name)
    for label in ("quark", "gluon", "W", "Z", "top"):
        showers = ("alphaS up", "alphaS down", "color reconnection")
        shares = [found[f"{shower}/{label} passing 50% of {label}"] for shower in showers]
        assert "| {} | {:.0%} | {:.0%} | {:.0%} |".format(label, *shares) in card


def test_particles_say_more_than_features():
    found, card = measured("particlenet-jets"), prose("particlenet-jets")
    ahead, trees = found["auc minus that of boosted trees"], found["boosted trees/auc"]["value"]
    low, high = ahead["interval"]
    assert f"have {trees:.4f}, which is {ahead['value']:.4f} ({low:.4f} to {high:.4f}) less" in card
    assert f"of the same test jets, {values('mlp-jets')['auc']:.4f}." in card
    for kind, words in (("top", "half of the tops lets one in {:.0f} of the others"), ("W", "half of the W one in {:.0f},")):
        name = f"rejection of {kind} at 50%"
        assert words.format(found[name]["value"]) in card
        assert f"trees let one in {found[f'boosted trees/{name}']['value']:.0f}" in card
    fewer = found["30k-jets/auc"]["value"]
    assert f"With 30,000 jets and 18 epochs the area is {fewer:.4f}, more than that of trees" in card
    assert trees < fewer < found["auc"]["value"]
    quark, gluon, w = ([part / sum(row) for part in row] for row in found["curves"]["confusion"][:3])
    assert f"{w[2]:.0%} of the W are taken for W and {w[3]:.0%} for Z" in card
    assert f"{w[0]:.0%} of the W are taken for quarks" in card
    assert f"{quark[1]:.0%} of the quarks are taken for gluons, {gluon[0]:.0%} of the gluons for quarks" in card
    areas = [found[f"{shower}/auc"]["value"] for shower in ("alphaS up", "alphaS down", "color reconnection")]
    assert f"The area itself is {min(areas):.3f} to {max(areas):.3f}" in card


def test_sixteen_features_say_as_much_to_trees():
    found = measured("mlp-jets")
    ahead, trees = found["auc minus that of boosted trees"], found["boosted trees/auc"]["value"]
    low, high = ahead["interval"]
    assert f"have {trees:.4f}, {ahead['value']:.4f} ({low:.4f} to {high:.4f}) less" in prose("mlp-jets")


def test_what_is_safe_costs_against_trees_that_are_not():
    worse = measured("efn-quark-gluon")["auc minus that of boosted trees"]
    low, high = (-end for end in worse["interval"][::-1])
    assert f"**The trees are better** by {-worse['value']:.4f} ({low:.4f} to {high:.4f})" in prose("efn-quark-gluon")


def test_taggers_reach_what_was_aimed_at():
    """Areas of published networks on 400,000 jets, and above a count of particles."""
    for name, least in (("particlenet-quark-gluon", 0.902), ("pfn-quark-gluon", 0.898), ("efn-quark-gluon", 0.875)):
        found = measured(name)
        assert found["auc"]["value"] >= least
        assert found["auc minus that of multiplicity"]["interval"][0] > 0
    fewer = values("particlenet-quark-gluon")["30k-jets/auc"]
    assert f"The area is {fewer:.3f} with 30,000 jets and 18 epochs" in prose("particlenet-quark-gluon")
    pairs, neighbors = (values(name)["auc"] for name in ("part-quark-gluon", "particlenet-quark-gluon"))
    assert pairs >= neighbors
    assert f"`particlenet-quark-gluon` has {neighbors:.4f} on the same test jets" in prose("part-quark-gluon")


@pytest.mark.parametrize("name", ["lnn-double-pendulum", "hnn-double-pendulum", "lnn-double-pendulum-parameterized"])
def test_energies_of_laws_of_motion(name):
    card, found = prose(name), values(name)
    off, plain = (f"{found[metric]:.2g}" for metric in ("energy error", "plain/energy error"))
    assert f"the energy is off by {float(off) * 100:.2g}% of the largest potential energy in the mean over 100 s" in card
    assert f"same layers on the same data by {float(plain) * 100:.2g}%" in card
    times = [found[metric] for metric in ("divergence time", "divergence time, true law", "plain/divergence time")]
    for seconds in times:
        assert f"after {seconds:.1f} s" in card
    page = " ".join((ROOT / "docs" / "dynamics.md").read_text(encoding="utf-8").split())
    assert f"{found['energy error']:.3%}" in page
    assert f"makes {found['energy error, true law']:.3%} of the true law" in page
    assert f"{found['plain/energy error'] * 100:.2g}%" in page


def test_a_law_of_all_pendulums_holds_beyond_those_that_it_saw():
    found = values("lnn-double-pendulum-parameterized")
    own, plain = (found[f"heavier and longer/{before}energy error"] for before in ("", "plain/"))
    assert own < 0.01 < plain
    assert f"none of which it saw, it is {own:.2%}, the plain network's {plain:.0%}" in prose(
        "lnn-double-pendulum-parameterized"
    )
    page = " ".join((ROOT / "docs" / "dynamics.md").read_text(encoding="utf-8").split())
    assert f"none of which it saw, it is off by {own:.2%}, the plain network by {plain:.0%}" in page


def test_a_particle_near_the_speed_of_light_has_a_lagrangian_and_no_hamiltonian():
    card, found = prose("lnn-relativistic-particle"), values("lnn-relativistic-particle")
    own, plain, other = (found[f"{before}energy error"] for before in ("", "plain/", "hamiltonian-of-velocities/"))
    assert own < 0.01 < 1 < other
    assert f"by {own:.2%} of the largest potential energy" in card
    assert f"takes the velocity for the momentum has {other:.0%}" in card
    end, plain_end = (found[f"{before}energy error at the end"] for before in ("", "plain/"))
    assert f"at the end the released one by {end:.2%}, the plain one by {plain_end:.2%}" in card
    for before in ("", "plain/"):
        center, scatter = (
            float(number) for number in over_seeds(measured("lnn-relativistic-particle")[f"{before}energy error"]).split(" +- ")
        )
        assert f"{100 * center:.2g}% +- {100 * scatter:.2g}%" in card
    page = " ".join((ROOT / "docs" / "dynamics.md").read_text(encoding="utf-8").split())
    assert f"is off by {other:.0%}, this by {own:.2%}, a plain one, which need not last, by {plain:.2%}" in page


def test_formulae_that_are_found():
    card, found = prose("transformer-formulae"), measured("transformer-formulae")
    page = " ".join((ROOT / "docs" / "formulae.md").read_text(encoding="utf-8").split())
    parts = [
        f"{label}, {what}"
        for label in ("Nguyen", "Feynman")
        for what in ("recovered", "R2 above 0.999", "R2 above 0.999 beyond")
    ]
    for level in ("", ", noise 1%", ", noise 10%"):
        for label, three in (("Nguyen", parts[:3]), ("Feynman", parts[3:])):
            cells = [f"{found[one + level][key]:.0%}" for one in three for key in ("value", "baseline")]
            assert f"| {label}, {level[2:] or 'no noise'} | {' | '.join(cells)} |" in card
    feynman, beyond, nguyen = (found[name] for name in ("Feynman, recovered", parts[5], "Nguyen, recovered"))
    assert f"finds {feynman['value']:.0%} exactly, polynomials {feynman['baseline']:.0%}" in card
    assert f"finds {feynman['value']:.0%} exactly up to constants" in page
    assert f"Above the given ranges {beyond['value']:.0%} of what it finds still holds, {beyond['baseline']:.0%}" in page
    assert f"it finds {nguyen['value']:.0%}, polynomials {nguyen['baseline']:.0%}" in page
    assert f"with 10% of noise {found['Feynman, recovered, noise 10%']['value']:.0%}, and 0%" in page
    assert feynman["interval"][0] > feynman["baseline"]
    results = json.loads((ROOT / "benchmarks/results/formulae.json").read_text())["results"]
    bred = [results["Feynman, noise 0%"][f"gplearn, {times} times as long"]["recovered"] for times in (1, 10)]
    assert "finds {:.0%} in as much time, a third of a second of a core, and {:.0%} in ten times as much".format(*bred) in page
    assert results["Feynman, noise 0%"]["search"]["recovered"] == pytest.approx(feynman["value"])


def test_densities_of_halo_masses():
    card, found = prose("nsf-halo-mass"), values("nsf-halo-mass")
    for before in ("", "affine/"):
        inside = [f"{found[f'{before}coverage of {level}']:.1%}" for level in ("68%", "95%")]
        assert (f"in {inside[0]} of the rows, its 95% intervals in {inside[1]}" if not before else " and ".join(inside)) in card
    assert f"worth {found['log likelihood'] - found['affine/log likelihood']:.2f} nat a row less" in card
    assert f"against {found['log likelihood']:.2f} here" in card


def test_latents_of_halo_masses():
    card, found = prose("ive-halo-mass"), measured("ive-halo-mass")
    first, second, third = sorted((found[f"kl latent {i}"]["value"] for i in range(3)), reverse=True)
    assert f"One holds {first:.1f} nat, another {second:.1f}, the third {third:.2f}" in card
    trees = found["scatter of boosted trees on densities and shear"]["value"]
    others = values("cnn3d-halo-mass")["scatter"]
    assert f"{found['scatter']['value']:.3f} dex, beside {others:.3f} of `cnn3d-halo-mass`" in card
    assert f"{trees:.3f} of the best trees" in card
    ratio = found["scatter over that of boosted trees on densities and shear"]
    assert trees == min(metric["value"] for name, metric in found.items() if name.startswith("scatter of "))

    low, high = (1 - bound for bound in reversed(ratio["interval"]))
    assert f"the network's is {1 - ratio['value']:.0%} less; {low:.0%} to {high:.0%}" in card

    def holds(latent: int, quantity: str) -> float:
        return found[f"mutual information latent {latent}, {quantity}"]["value"]

    assert found["kl latent 1"]["value"] == first
    assert f"{holds(1, 'density at 14'):.2f} nat of the mean within a sphere of 10^14" in card
    assert f"{holds(1, 'density at 13.5'):.2f} of one of 10^13.5" in card
    densities = {mass: holds(0, f"density at {mass}") for mass in ("12.5", "13", "13.5", "14")}
    assert max(densities, key=lambda mass: densities[mass]) == "13"
    assert f"at most {densities['13']:.2f} nat, of 10^13" in card
    shear = [metric["value"] for name, metric in found.items() if "ellipticity" in name or "prolateness" in name]
    assert f"in neither, {max(shear):.3f} nat at most" in card
    covered = found["coverage of 68%"]
    low, high = covered["interval"]
    assert f"hold {covered['value']:.0%} of the truths ({low:.0%} to {high:.0%})" in card
    assert f"{over_seeds(found['scatter'])}" in card
    assert f"{found['other-cosmology/bias']['value']:.2f} dex too high" in card


WAYS = {
    "cnn2d-cosmology": {
        "this network": "",
        "power, bispectrum, values of cells, peaks": "summaries/",
        "power and bispectrum": "power-and-bispectrum/",
        "power spectrum": "power/",
    },
    "cnn3d-cosmology": {
        "this network": "",
        "power, bispectrum, values of cells": "summaries/",
        "power spectrum": "power/",
    },
}
"""What stands in the table of each card, and how metrics of it begin."""


@pytest.mark.parametrize("name", WAYS)
def test_cosmologies_of_fields(name):
    card, found = prose(name), values(name)
    for way, prefix in WAYS[name].items():
        rms = [found[f"{prefix}rmse {parameter}"] for parameter in ("omega_m", "sigma8")]
        assert "| {} | {:.3f} | {:.3f} | {:.2f} |".format(way, *rms, found[f"{prefix}log likelihood"]) in card
    for way, words in (("power", "Over the power spectrum** errors are {}% and {}% smaller"), ("summaries", "summaries")):
        less = [round(100 * (1 - found[f"rmse {parameter} over that of {way}"])) for parameter in ("omega_m", "sigma8")]
        assert words.format(*less) in card
        assert "{}% and {}%".format(*less) in card
    sure = measured(name)["coverage of 68%"]
    low, high = (round(100 * end) for end in sure["interval"])
    assert f"68% intervals hold the truth in {sure['value']:.0%} of the" in card
    assert f"({low} to {high}), 95% intervals in {found['coverage of 95%']:.0%}" in card
    for label in ("finer", "direct-forces"):
        assert f"{-found[f'{label}/bias omega_m']:.3f}" in card
    wider = [found[f"wider/rmse {parameter}"] for parameter in ("omega_m", "sigma8")]
    assert "answered better ({:.3f} and {:.3f})".format(*wider) in card
    seeds = [float(over_seeds(measured(name)[f"rmse {parameter}"]).split(" +- ")[1]) for parameter in ("omega_m", "sigma8")]
    for parameter, deviation in zip(("omega_m", "sigma8"), seeds, strict=True):
        low, high = measured(name)[f"rmse {parameter}"]["interval"]
        assert deviation < (high - low) / 5


def told_of_twenty_maps() -> str:
    """What a card and a page say of maps taken together."""
    found = result("maps_together")
    shares = {
        level: "{:.0%} of the truths ({:.0%} to {:.0%})".format(within["share"], *within["interval"])
        for level, within in found["truth within"].items()
    }
    errors, deviations = found["rms error"], found["median deviation"]
    return (
        f"of {found['cosmologies']} cosmologies of {found['maps']} simulations each, {found['taken together']} are answered,"
        f" with errors of {errors['omega_m']:.3f} in Omega_m and {errors['sigma8']:.3f} in sigma_8 and deviations of"
        f" {deviations['omega_m']:.3f} and {deviations['sigma8']:.3f}; 68% regions hold {shares['68%']}, 95% regions"
        f" {shares['95%'].replace('of the truths ', '')}"
    )


def test_posterior_of_a_map():
    name = "maf-field-posterior"
    card, found = prose(name), measured(name)
    ways = {
        "this flow": found["log_prob"]["value"],
        "power, bispectrum, values of cells, peaks": found["summaries/log_prob"]["value"],
        "power spectrum": found["power/log_prob"]["value"],
        "prior": found["log_prob"]["baseline"],
    }
    for way, value in ways.items():
        assert f"| {way} | {value:.2f} |" in card
    moments = values("cnn2d-cosmology")["log likelihood"]
    assert f"are worth {ways['this flow'] - moments:.1f} nat" in card
    assert f"of `cnn2d-cosmology`, have {moments:.2f}." in card
    for label in ("finer", "direct-forces"):
        bias = found[f"{label}/bias omega_m"]
        high, low = (-end for end in bias["interval"])
        assert f"{-bias['value']:.3f} too low in Omega_m ({low:.3f} to {high:.3f})" in card
    assert told_of_twenty_maps() in card
    page = " ".join((ROOT / "docs" / "fields.md").read_text(encoding="utf-8").split())
    assert told_of_twenty_maps()[3:] in page


def test_where_matter_goes():
    card, found = prose("unet-displacement"), measured("unet-displacement")
    correlation, power = "correlation at 0.50 h/Mpc", "power at 0.50 h/Mpc"
    for way, prefix in (
        ("this network", ""),
        ("mesh of five steps", "5 steps of a mesh/"),
        ("mesh of three steps", "3 steps of a mesh/"),
    ):
        of = [found[prefix + name]["value"] for name in (correlation, power, "displacement error")]
        assert "| {} | {:.4f} | {:.3f} | {:.2f} |".format(way, *of) in card
    assert f"lacks {1 - found['5 steps of a mesh/' + power]['value']:.0%} of the power" in card
    for label, n in (("other parameters", 25), ("wider", 4)):
        assert found[f"{label}/{power}"]["n"] == n
        assert f"({n} boxes): correlation {found[f'{label}/{correlation}']['value']:.4f}" in card
        assert f"power {found[f'{label}/{power}']['value']:.3f}" in card
    curves = found["curves"]
    off = {k: one - 1 for k, one in zip(curves["wavenumber"], curves["power"], strict=True)}
    worst = max((k for k in off if k < 0.55), key=lambda k: abs(off[k]))
    assert f"off by at most {abs(off[worst]):.1%} up to 0.55 h/Mpc, at {worst:.1f} h/Mpc" in card
    assert f"falls short, by {-min(off.values()):.0%} at {max(off):.1f} h/Mpc" in card
    near = [k for k, one in zip(curves["wavenumber"], curves["correlation"], strict=True) if one > 0.99]
    assert f"above 0.99 up to {max(near):.1f} h/Mpc" in card


def test_maps_out_of_noise():
    card, found = prose("diffusion-maps"), measured("diffusion-maps")
    page = " ".join((ROOT / "docs" / "fields.md").read_text(encoding="utf-8").split())
    for way, name in (
        ("right answers of a classifier", "classifier accuracy"),
        ("power, largest difference of its logarithm", "power, largest"),
        ("power spectrum", "power"),
        ("equilateral triangles", "bispectrum"),
        ("values of cells", "one-point"),
        ("peaks", "peaks"),
    ):
        beside = found[f"autoencoder/{name}"]["value"]
        row = "| {} | {:.2f} | {:.2f} | {:.2f} |".format(way, found[name]["value"], beside, found[name]["baseline"])
        assert row in card
    right, power = found["classifier accuracy"], found["power, largest"]
    low, high = right["interval"]
    told = f"in {right['value']:.0%} ({low:.0%} to {high:.0%})"
    assert told in card
    assert told in page
    low, high = (f"{math.expm1(end):.0%}" for end in power["interval"])
    assert f"off by {math.expm1(power['value']):.0%} ({low} to {high}) at most" in card
    likest = found["correlation with the likest training map"]
    assert f"by {likest['value']:.3f} in the mean, with a simulated test map by {likest['baseline']:.3f}" in card


def test_flows_at_the_ends_of_a_prior():
    flows = result("bounded_priors")["flows"]

    def mean(noise: str, scale: str, rows: str) -> float:
        return statistics.mean(row["short of exact, nat"][rows] for row in flows[f"noise {noise}, {scale}"])

    architecture, page = (
        " ".join((ROOT / file).read_text(encoding="utf-8").split()) for file in ("ARCHITECTURE.md", "docs/benchmarks.md")
    )
    short = {scale: [f"{mean(noise, scale, 'all'):.3f}" for noise in ("0.3", "1.0")] for scale in ("logit", "probit")}
    near = {scale: [f"{mean(noise, scale, 'near'):.2f}" for noise in ("0.3", "1.0")] for scale in ("logit", "probit")}
    logit, probit = (" and ".join(short[scale]) for scale in ("logit", "probit"))
    assert f"are {logit} nat short of exact ones, for two widths, and {' and '.join(near['logit'])} near" in architecture
    assert f"with probits {probit}, {' and '.join(near['probit'])} (" in architecture
    assert f"{probit} nat short of exact ones, on logits {logit}; three seeds" in page
    together = result("maps_together")
    answered, inside = together["taken together"], together["truth within"]["68%"]["share"]
    assert (
        f"of {together['cosmologies']} cosmologies that answers {answered}, of which 68% regions hold {inside:.0%}"
        in architecture
    )
    assert f"{answered} answered, with errors of {together['rms error']['omega_m']:.3f} in Omega_m" in page
    assert f"in 68% regions {inside:.0%} of them" in page


@pytest.mark.parametrize(
    ("name", "universe"), [("logistic-cmb-neff", "N_eff"), ("logistic-cmb-early-dark-energy", "early dark energy")]
)
def test_universes_that_hide_in_lambda_cdm(name, universe):
    card, shift, found = prose(name), HIDDEN[universe], measured(name)
    assert f"H0 is higher by {shift['H0']:.1f} km/s/Mpc, omega_c by {shift['omch2']:.3f}" in card
    assert f"n_s by {shift['ns']:.3f}, ln(10^10 A_s) by {shift['ln10As']:.3f}" in card
    assert f"N_eff = {N_EFF + RADIATION:.3f}" in card or universe != "N_eff"
    universes = result("hidden_universes")["universes"]
    moved, left = (
        f"{one:.1f} and {two:.1f}"
        for one, two in ([u["shift"]["H0"] for u in universes.values()], [u["chi-squared"] for u in universes.values()])
    )
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"H0 higher by {moved} km/s/Mpc, a chi-squared of {left} left" in page
    searched = universes[universe]["shift"]
    assert shift == {key: pytest.approx(value, rel=1e-3) for key, value in searched.items()}
    elsewhere = "early dark energy" if universe == "N_eff" else "N_eff 3.344"
    assert f"an area of {found[f'{elsewhere}/auc']['value']:.2f}" in card
    assert f"with A_lens = 1.1 of {found['A_lens 1.1/auc']['value']:.2f}" in card
    low, high = found["auc, linear ideal"]["interval"]
    assert low - 0.02 < found["auc"]["value"] < high + 0.01


def test_tops_by_fine_tuning():
    found, page = result("fine_tuning")["results"]["tops"], (ROOT / "docs" / "fine-tuning.md").read_text(encoding="utf-8")

    def cell(way: str, rows: int) -> str:
        each = [run[way] for key, run in found["runs"].items() if key.startswith(f"{rows},")]
        assert len(each) == 3
        return f"{statistics.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})"

    for rows in (1000, 10_000):
        assert f"| {rows} | {cell('scratch', rows)} | | {cell('all', rows)} |" in page
    once = found["runs"]["100000, seed 0"]
    assert f"| 100000, one draw | {once['scratch']:.4f} | | {once['all']:.4f} |" in page
    fine_tuned, scratch = cell("all", 1000)[:5], cell("scratch", 10_000)[:5]
    assert f"fine-tuned on 1,000 comes to {fine_tuned}, a network of its own kind that sees 10,000 to {scratch}" in " ".join(
        page.split()
    )
    assert f"{found['test_rows']:,} jets" in page


def test_taggers_beside_weaver():
    found = result("clouds")
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    def ratios(name: str) -> str:
        *first, last = (f"{ways[name]['ratio']:.2f}" for ways in found["results"].values())
        return f"{', '.join(first)} and {last} times"

    assert found["like"] == "particlenet-jets"
    assert f"`particlenet-jets` in {ratios('particlenet-jets')} what a ParticleNet of weaver-core" in page
    assert f"`pfn-quark-gluon` in {ratios('pfn-quark-gluon')}" in page
