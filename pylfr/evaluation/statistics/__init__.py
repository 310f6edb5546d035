"""Rates with intervals, distributions and their tails."""
