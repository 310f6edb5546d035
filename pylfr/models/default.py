"""Which network is used where none is named: a stronger one that is here, else the one that comes with pylfr."""

from __future__ import annotations

from dataclasses import dataclass

from pylfr.models.manifest import Task
from pylfr.models.store import ModelStore

# In this order; the last one comes with pylfr. All of them may be used commercially.
_ORDER: dict[Task, tuple[str, ...]] = {
    "detect": ("yunet_n", "pylfr_nano_detect"),
    "embed": ("face_reid_0095", "pylfr_nano_embed"),
}
_OPTION: dict[Task, str] = {"detect": "detector", "embed": "embedder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A network by name, and why it is this one: a line to show, so that nothing is chosen in silence."""

    name: str
    reason: str


def choose(task: Task, named: str | None, store: ModelStore) -> Choice:
    """``named`` where a name is given, else the first of the known order that is here."""
    if named is not None:
        return Choice(name=named, reason=f"{task}: {named}, as asked")
    order = _ORDER[task]
    name = next((each for each in order if store.find(each) is not None), order[-1])
    missing = order[: order.index(name)]
    because = f"{' and '.join(missing)} not here" if missing else "found here"
    return Choice(name=name, reason=f"{task}: {name} ({because}; --{_OPTION[task]} names another)")
