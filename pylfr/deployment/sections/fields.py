"""Types of fields in many sections: paths relative to the deployment file, secrets by variable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo


def _beside_deployment(path: Path, info: ValidationInfo) -> Path:
    folder = info.context["folder"] if info.context else Path()
    return Path(folder / path)


# A secret in a deployment file is given by the name of an environment variable.
REFERENCE = re.compile(r"\$\{[A-Za-z_]\w*\}")
# A path in a deployment file is relative to that file.
FilePath = Annotated[Path, AfterValidator(_beside_deployment)]
