"""Accuracy on photographs: verification and identification."""
