"""Telemetry of onnxruntime and OpenVINO: switched off before either is imported, in every process that runs a network.

Left on, onnxruntime (1.32, Linux) writes a device id and a store of events to the user's cache and sends them; OpenVINO
(2026.4) writes ``~/intel`` and sends an event each time it is imported.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

log = logging.getLogger(__name__)

_ONNXRUNTIME: Final = "ORT_DISABLE_TELEMETRY"


def switch_off() -> None:
    """Switch both off; warn in the log if one was imported before pylfr, since it may have sent something already."""
    if "onnxruntime" in sys.modules and os.environ.get(_ONNXRUNTIME) != "1":
        log.warning(
            "onnxruntime was imported before pylfr, with its telemetry on: import pylfr first, or set %s=1 in the "
            "environment",
            _ONNXRUNTIME,
        )
    os.environ[_ONNXRUNTIME] = "1"
    if sys.modules.get("openvino_telemetry") is not None:
        log.warning(
            "OpenVINO was imported before pylfr, with its telemetry on: import pylfr first, or uninstall "
            "openvino-telemetry"
        )
    else:
        # Importing it fails from now on, and OpenVINO uses its own stub, which sends nothing.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
