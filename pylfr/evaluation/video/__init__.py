"""Accuracy by subject pass, on recordings."""
