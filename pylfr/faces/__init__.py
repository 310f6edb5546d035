"""The stages: detect, track, measure, align, embed."""
