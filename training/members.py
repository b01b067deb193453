"""A recipe of an ensemble: the same training from several seeds, judged and released as one model."""

from __future__ import annotations

from zoo.families.flows.flow_ensemble import with_member
from zoo.model.registry import get_family
from zoo.training.recipe import Recipe, RecipeError


def in_members(recipe: Recipe, count: int) -> Recipe:
    """The recipe of a mixture of ``count`` flows that are trained as the recipe says and differ in the seed alone.

    What is measured is the mixture's; none of its numbers is a member's.

    Parameters
    ----------
    recipe : Recipe
        Recipe of one flow.
    count : int
        Number of members; of one, the recipe stays as it is.

    Returns
    -------
    Recipe
        The recipe of the mixture.

    Raises
    ------
    RecipeError
        There is less than one member, or the family is none of flows.
    """
    if count < 1:
        raise RecipeError(f"members: expected at least 1, given {count}")
    if count == 1:
        return recipe
    family = get_family(recipe.family).ensemble_family
    if family != "flow-ensemble":
        raise RecipeError(f"members: expected a family of flows, given {recipe.family}")
    values = recipe.model_dump(mode="json")
    sample = with_member(recipe.endpoints["sample"]).model_dump(mode="json")
    changes = {
        "family": family,
        "config": {"member": recipe.family, "config": recipe.config, "count": count},
        "summary": f"{recipe.summary}; {count} trainings together",
        "endpoints": {**values["endpoints"], "sample": sample},
    }
    return recipe.changed(changes)
