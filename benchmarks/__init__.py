"""Measurements: each program prints the machine, the versions, warm-up and spread, and writes a results file."""
