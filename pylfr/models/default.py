"""The default networks: a stronger one if it is on this machine, else the one that ships with pylfr."""

from __future__ import annotations

from dataclasses import dataclass

from pylfr.models.manifest import Task
from pylfr.models.store import ModelStore

# In order of preference; the last one ships with pylfr. All of them may be used commercially.
_ORDER: dict[Task, tuple[str, ...]] = {
    "detect": ("yunet_n", "pylfr_nano_detect"),
    "embed": ("face_reid_0095", "pylfr_nano_embed"),
}
_OPTION: dict[Task, str] = {"detect": "detector", "embed": "embedder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A network by name, and the reason for it, to be shown: a choice is never silent."""

    name: str
    reason: str


def choose(task: Task, named: str | None, store: ModelStore) -> Choice:
    """``named`` if a name is given, else the first network of the preferred order on this machine."""
    if named is not None:
        return Choice(name=named, reason=f"{task}: {named}, as requested")
    order = _ORDER[task]
    name = next((each for each in order if store.find(each) is not None), order[-1])
    missing = order[: order.index(name)]
    because = f"{' and '.join(missing)} not installed" if missing else "found on this machine"
    return Choice(name=name, reason=f"{task}: {name} ({because}; --{_OPTION[task]} names another)")
