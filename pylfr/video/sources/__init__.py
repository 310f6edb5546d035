"""Cameras: files, live streams, loops, zones."""
