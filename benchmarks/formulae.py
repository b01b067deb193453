"""Formulae found by the network's search, and by genetic programming (gplearn) in as much time, and in ten times as much.

    pip install --no-deps gplearn==0.4.3
    python benchmarks/formulae.py [--noise 0 0.01 0.1] [--times 1 10] [--model transformer-formulae]

Each formula of the Nguyen and Feynman sets is given at 200 points and judged at 200 unseen ones without noise, as the
evaluation of the model does. gplearn breeds generation after generation until its time is over, and then finishes the one it is
at; its constants are drawn and bred, not fitted. Time is that of the process, so that what else runs does not count.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from interleaved import about, write

import zoo
from zoo.interpret.formulae.search import FormulaSearch
from zoo.training.evaluations.formulae import GOOD, NOTHING, SAME, FormulaeFound, Points, difference, is_same, r2

POPULATION = 500


def bred(one: Points, seconds: float) -> np.ndarray:
    """Values (n,) at the unseen points, of the best program that is bred in some seconds."""
    from gplearn.functions import make_function
    from gplearn.genetic import SymbolicRegressor

    exponential = make_function(function=lambda a: np.exp(np.clip(a, -50, 50)), name="exp", arity=1)
    functions = ("add", "sub", "mul", "div", "sqrt", "log", "sin", "cos", exponential)
    model = SymbolicRegressor(
        population_size=POPULATION,
        generations=1,
        function_set=functions,
        const_range=(-10, 10),
        metric="rmse",
        random_state=0,
        warm_start=True,
    )
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(one.x, one.y)
        while time.process_time() - start < seconds:
            model.set_params(generations=model.generations + 1)
            model.fit(one.x, one.y)
        return model.predict(one.unseen_x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01, 0.1])
    parser.add_argument("--times", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--model", default="transformer-formulae")
    given = parser.parse_args()
    search = FormulaSearch(zoo.load(given.model))
    results: dict[str, dict] = {}
    for case in FormulaeFound().cases(given.noise):
        search(case.formulae[0].x, case.formulae[0].y)  # makes its graphs
        rows: dict[str, list[tuple[float, bool, bool]]] = {}
        for one in case.formulae:
            start = time.process_time()
            found = search(one.x, one.y)
            taken = time.process_time() - start
            expression = found[0].expression if found else NOTHING
            answer = expression(one.unseen_x)
            rows.setdefault("search", []).append((taken, is_same(expression, one), r2(answer, one.unseen_y) > GOOD))
            for times in given.times:
                start = time.process_time()
                answer = bred(one, times * taken)
                same = difference(answer, one.unseen_y) < SAME
                own = time.process_time() - start
                rows.setdefault(f"gplearn, {times:g} times as long", []).append((own, same, r2(answer, one.unseen_y) > GOOD))
        where = f"{case.label}, noise {case.level:.0%}"
        for name, each in rows.items():
            seconds, recovered, good = np.array(each, float).T
            found_here = {"seconds": float(np.median(seconds)), "recovered": recovered.mean(), f"R2 above {GOOD}": good.mean()}
            results.setdefault(where, {})[name] = {key: float(value) for key, value in found_here.items()}
            print(f"{where:24}{name:32}" + "  ".join(f"{key} {value:.3f}" for key, value in found_here.items()), flush=True)
    write("formulae.json", {"about": about("gplearn"), "model": given.model, "results": results})


if __name__ == "__main__":
    main()
