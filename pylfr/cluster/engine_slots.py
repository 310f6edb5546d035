"""How many engines a machine of the cluster runs, and what each of them has: by the resources that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The resources that a Ray node offers: how many cameras it can analyse, as `pylfr size` has measured, and how many
# engines it has identities for.
CAMERAS, ENGINES, GPUS = "pylfr_cameras", "pylfr_engines", "GPU"
# The variable that says where the identities and logs of a machine's engines are, one folder for each; set where Ray is
# started there.
FOLDER = "PYLFR_NODE_FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSlot:
    """An engine of a machine: its number from 0, the cameras that it can hold, and how many GPUs are its own."""

    number: int
    cameras: int
    gpus: int


def slots_of(resources: Mapping[str, float]) -> tuple[EngineSlot, ...]:
    """The engines of a machine that names these resources; none where it offers to analyse no cameras.

    Where it has GPUs each engine has one to itself, so that there are no more engines than GPUs: one that has to share
    would take the other's memory. Cameras are dealt out evenly.
    """
    cameras, gpus = int(resources.get(CAMERAS, 0)), int(resources.get(GPUS, 0))
    engines = min(int(resources.get(ENGINES, 1)), cameras, gpus or cameras)
    return tuple(
        EngineSlot(number=number, cameras=cameras // engines + (number < cameras % engines), gpus=min(gpus, 1))
        for number in range(engines)
    )
