"""The interface under ``/v1``: one file for each noun."""
