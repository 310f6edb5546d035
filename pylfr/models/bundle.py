"""Networks of this machine in one file, for a machine without internet."""

from __future__ import annotations

from pathlib import Path

from pylfr.errors import ModelError
from pylfr.models import transfer
from pylfr.models.store import MODELS_VARIABLE, Model, ModelStore


def write_bundle(
    store: ModelStore, names: list[str], into: Path, *, accept_licence: str | None = None
) -> tuple[Model, ...]:
    """Write networks, verified, into an archive that ``ModelStore.import_path`` reads on the other machine.

    Raises ``LicenceError`` unless restricted licences are accepted by name, and ``ModelError`` if a network is missing,
    altered, ships with pylfr anyway, or has a manifest that the other machine does not have.
    """
    models = tuple(store.resolve(name) for name in dict.fromkeys(names))
    for model in models:
        name = model.manifest.name
        if model.manifest.source.shipped:
            raise ModelError(f"{name} ships with pylfr: leave it out, the other machine has it")
        if not (store.places.catalogue / f"{name}.toml").is_file():
            raise ModelError(
                f"{name} has a manifest of yours, which the other machine needs too: "
                f"copy the folder of both files, and name it in {MODELS_VARIABLE} there"
            )
    store.require_licence([model.manifest for model in models], accept_licence)
    lines = [
        f"{model.manifest.file}: {model.manifest.name}, sha256 {model.sha256}, "
        f"licence {model.manifest.licence.id}, from {model.manifest.source.page}"
        for model in models
    ]
    note = "\n".join(["Networks for pylfr. On the other machine: pylfr models import THIS_FILE", "", *lines, ""])
    transfer.pack({model.manifest.file: model.path for model in models}, note, into)
    return models
