"""What a use may fill into a parameter."""

from __future__ import annotations

from agents.connections.connection import Parameter
from agents.deliver.definitions.destination import Scalar
from agents.deliver.definitions.templates import names_in
from rules.parse.problems import name_hint


def why_wrong(name: str, parameter: Parameter, value: Scalar, *, has_variables: bool = True) -> str | None:
    """Why a value can't be that of a parameter; None: it can. ``has_variables``: text may hold some."""
    if isinstance(value, str) and names_in(value) and (parameter.kind != "text" or not has_variables):
        where = "the default of a parameter" if not has_variables else f"a {parameter.kind}"
        return f"{name} can't hold a variable, because it is {where}"
    if parameter.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} must be a number, not {value!r}"
    elif not isinstance(value, str):
        return f"{name} must be text, not {value!r}"
    elif parameter.kind == "choice" and value not in parameter.choices:
        return f"{name} can't be '{value}': {name_hint(value, parameter.choices)}"
    return None
