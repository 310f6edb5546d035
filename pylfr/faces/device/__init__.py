"""The stages of faces on a CUDA device."""
