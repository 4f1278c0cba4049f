"""Whether two versions of an audience are one computation (docs/semantics.md, section 8a)."""

from __future__ import annotations

from dataclasses import replace

from rules.model.language import Audience, Backfill


def same_computation(a: Audience, b: Audience) -> bool:
    """Whether they differ in nothing but what people read: name, description, labels, ``backfill``.

    Such a change holds at once, because it makes nobody a member and nobody leave. A batch audience that is
    computed ``once`` keeps its instant then. Audiences that they ask about are compared by their ids: whether
    those are the same computation is asked of them.
    """
    return _computed(a) == _computed(b)


def _computed(audience: Audience) -> str:
    """Its parts that decide. As text, because 1, 1.0 and True are equal to Python and not to a rule."""
    return repr(replace(audience, name="", description="", labels=(), backfill=Backfill()))
