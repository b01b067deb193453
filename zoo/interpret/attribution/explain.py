"""Attribution: which elements of an input make a model answer as it does.

The gradient says where the answer is sensitive; integrated gradients and Shapley values divide the difference between the
answer and that at a baseline among the elements; occlusion and a local surrogate ask only for answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, UnknownNameError
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.attribution.scalar_output import answer_of, baseline_of, name_of, spec_of
from zoo.interpret.methods import ExplanationMethod, method_named, registered


def explain(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    *,
    method: str = "integrated_gradients",
    endpoint: str | None = None,
    output: str | None = None,
    target: int | str = 0,
    wrt: str | None = None,
    baseline: np.ndarray | float | None = None,
    allow_out_of_range: bool = False,
    **options: Any,
) -> Explanation:
    """Attribute one number that a model returns to the elements of one of its input tensors.

    Parameters
    ----------
    model : EndpointModel, str or Path
        A loaded or freshly built model of any family; or its name or folder, as ``zoo.load`` takes it.
    inputs : ndarray or mapping of str to ndarray
        Rows of shape (n, ...) in physical units, or an array for each input tensor of the endpoint by name.
    method : str
        Name of an attribution method. Derivatives are asked by "gradient" (Simonyan et al. 2013, arXiv:1312.6034),
        "gradient_x_input" (Shrikumar et al. 2016, arXiv:1605.01713), "integrated_gradients" (Sundararajan et al. 2017,
        arXiv:1703.01365), "smoothgrad" (Smilkov et al. 2017, arXiv:1706.03825) and "grad_cam" (Selvaraju et al. 2017,
        arXiv:1610.02391), which needs convolutions; answers alone, of any model, by "occlusion" (Zeiler & Fergus 2014,
        arXiv:1311.2901), "shap" (Lundberg & Lee 2017, arXiv:1705.07874) and "lime" (Ribeiro et al. 2016, arXiv:1602.04938). A
        package may register others.
    endpoint : str, optional
        The function of the model to explain; by default `predict`, or the first where there is none.
    output : str, optional
        Output tensor of the endpoint; by default "logits" for the `predict` of a classifier that has them, else the first. A
        probability is saturated wherever the classifier is sure and its gradient vanishes there; its logit, log(p / (1 - p)),
        does not saturate and is additive in the evidence.
    target : int or str
        Element of that tensor, counted in C order, or its name, such as "omega_m".
    wrt : str, optional
        The input tensor to attribute to, by default the first; the others are held as given.
    baseline : ndarray or float, optional
        What stands for nothing in integrated_gradients, occlusion, shap and lime: a number, one row, or one row each.
        Default: the mean of the training data where the model standardizes the tensor (``model.baseline(tensor)``), else
        zero. Of a tensor with a mask it is the set without elements, which occlusion, shap and lime take away one by one.
    allow_out_of_range : bool
        Explain inputs outside the trained range too.
    **options : object
        Options of the method, each with a default. ``steps`` (integrated_gradients, 64) are nodes of the Gauss-Legendre rule
        along the path. ``samples`` (smoothgrad, 50; shap, 10 permutations, each in both directions; lime, ten for each patch)
        are evaluations. ``noise`` (smoothgrad, 0.1) is a standard deviation, as a fraction of the trained range of each
        element. ``patch`` (occlusion, shap, lime) counts elements along a side of the patches that are taken away together
        and share their contribution evenly; by default single elements, and more where that would make more than 256 patches.
        ``layer`` (grad_cam) names a convolution, by default the last. ``seed`` (smoothgrad, shap, lime; 0) is that of the
        samples.

    Returns
    -------
    Explanation
        Attributions of the shape of the input tensor: in the unit of the output, for "gradient" and "smoothgrad" in that over
        the unit of the input; of "grad_cam" only ratios mean something.

    Raises
    ------
    UnknownNameError
        Unknown method, endpoint, output, tensor or layer.
    InputError
        Wrong shape, dtype, range, NaN or infinity in an input or the baseline; an option that the method does not take or a
        value that it cannot.
    ExplanationError
        The model has no gradient, or no convolution, and the method needs one; the library shap is not there.
    """
    chosen = method_named(method, "attribution")
    if isinstance(model, str | Path):
        from zoo.loading import load

        model = load(model)
    chosen.check(model)
    options = _options(chosen, options)
    answer = answer_of(
        model,
        inputs,
        endpoint=endpoint,
        output=output,
        target=target,
        wrt=wrt,
        allow_out_of_range=allow_out_of_range,
    )
    if not chosen.baseline and baseline is not None:
        takers = sorted(other.name for other in registered("attribution").values() if other.baseline)
        raise InputError(f"method {method!r} takes no baseline; {_listed(takers)} do")
    x, spec = answer.x, spec_of(model)
    start, without = None, None
    if chosen.takes_away and baseline is None and answer.real is not None:
        without = answer.at(x, real=np.zeros_like(answer.real))
    elif chosen.baseline:
        start = baseline_of(model, answer.wrt, x, baseline)
        without = answer.at(start)
    return Explanation(
        values=chosen.function(answer, x, start, **options),
        inputs=x,
        answer=answer.at(x),
        method=method,
        endpoint=answer.endpoint,
        tensor=answer.wrt,
        output=answer.output,
        target=answer.target,
        baseline=start,
        baseline_answer=without,
        fixed={name: array for name, array in answer.arrays.items() if name != answer.wrt},
        meta={
            "model": name_of(model),
            "revision": None if spec is None else spec.revision,
            "unit": answer.tensor.unit,
            **({} if answer.tensor.mask is None else {"mask": answer.tensor.mask}),
            **options,
        },
        axes=[] if spec is None else answer.tensor.axes,
        answered=answer.element,
    )


def _options(method: ExplanationMethod, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a method, those given over its defaults."""
    known = method.keywords
    for name in given.keys() - known.keys():
        takers = sorted(other.name for other in registered("attribution").values() if name in other.keywords)
        if not takers:
            raise UnknownNameError(f"option of method {method.name!r}", name, known)
        raise InputError(f"method {method.name!r} takes no {name}; {_listed(takers)} {'does' if len(takers) == 1 else 'do'}")
    return known | given


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
