"""What a spec may know of clipping before training begins: the traits of optimizers and clippings.

An optimizer's record may have ``clips_updates`` (it bounds its own updates), ``second_moment`` (where update clipping
finds what it reads, see `zoo.training.contracts.UpdateClipping`) and ``default_clipping`` (the clipping of gradients
where a spec names none, as a spec would write it). A clipping whose record has ``clips: false`` changes nothing.
"""

from __future__ import annotations

from typing import Any

from zoo.errors import InputError
from zoo.registry import RegisteredComponent, Registry
from zoo.spec.options import Chosen

_SECOND_MOMENT, _CLIPS_UPDATES, _DEFAULT, _CLIPS = "second_moment", "clips_updates", "default_clipping", "clips"


def default_clipping(optimizer: Any, registry: Registry) -> Any:
    """The clipping of gradients that goes with an optimizer as a spec writes it; None where nothing says which."""
    if isinstance(optimizer, Chosen):
        return optimizer.component.traits.get(_DEFAULT)
    name = optimizer.get("use") if isinstance(optimizer, dict) else optimizer
    if not isinstance(name, str):
        return None
    try:
        return registry.get("optimizer", name).traits.get(_DEFAULT)
    except InputError:  # the optimizer is refused where it is read: any clipping, so that none is missed as well
        return next(iter(registry.names("clipping")), None)


def update_clipping_refused(optimizer: Chosen, registry: Registry) -> str | None:
    """Why the updates of `optimizer` cannot be clipped; None where they can."""
    traits = optimizer.component.traits
    if traits.get(_CLIPS_UPDATES):
        return f"'{optimizer.name}' bounds its updates itself, as its own options say: leave 'update_clipping' out"
    if _SECOND_MOMENT in traits:
        return None
    able = sorted(item.name for item in registry.components("optimizer") if _has_readable_moment(item))
    take = f"take {' or '.join(able)}" if able else "no installed optimizer has one"
    return f"'{optimizer.name}' has no second moment that update clipping could read: {take}"


def _has_readable_moment(optimizer: RegisteredComponent) -> bool:
    return _SECOND_MOMENT in optimizer.traits and not optimizer.traits.get(_CLIPS_UPDATES)


def clipping_notes(optimizer: Chosen, clipping: Chosen) -> list[str]:
    """What a user should know of this pair, in a line each."""
    if not optimizer.component.traits.get(_CLIPS_UPDATES):
        return []
    if clipping.component.traits.get(_CLIPS) is False:
        return [
            f"training.clipping: '{clipping.name}', as goes with '{optimizer.name}': it bounds its own updates, and a "
            "factor common to the gradients of a step mostly cancels in them"
        ]
    return [
        f"training.clipping: '{clipping.name}' beside '{optimizer.name}', which bounds its own updates: a factor "
        "common to the gradients of a step mostly cancels in them, so that clipping does little but keep large "
        "gradients out of its second moment; 'none' is usual"
    ]
