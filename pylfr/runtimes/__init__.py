"""The libraries that run networks. Their telemetry is switched off before any of them is imported."""

from pylfr.runtimes.telemetry import switch_off

switch_off()
