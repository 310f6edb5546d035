"""Who measured: certificates are signed by the commands that measure, over digests of the material and the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pylfr import __version__
from pylfr.cli.passphrase import open_key
from pylfr.cli.said import named
from pylfr.errors import UsageError
from pylfr.evaluation.material import material_sha256
from pylfr.governance.authorisation.certificates import Kind, sign_certificate

MeasurerKeyOption = Annotated[
    Path | None,
    typer.Option("--key", help="Private key of who measures, which signs the certificate; live policies ask for it."),
]
MeasurerOption = Annotated[
    str | None,
    typer.Option("--by", help="Who measures, for the certificate: a unit or a laboratory.", callback=named),
]


def signed_by(
    certificate: Kind,
    key: Path | None,
    by: str | None,
    passphrase_env: str | None,
    *,
    material: Sequence[Path],
    result_sha256: str | None = None,
) -> Kind:
    """The certificate, signed where a key is given. Raises ``ConfigError`` where only one of key and name is."""
    if key is None and by is None:
        return certificate
    if key is None or by is None:
        raise UsageError("a certificate is signed with --key, by whom --by names: give both, or neither")
    return sign_certificate(
        certificate,
        open_key(key, passphrase_env),
        measurer=by,
        tool=f"pylfr {__version__}",
        material_sha256=material_sha256(material),
        result_sha256=result_sha256,
    )
