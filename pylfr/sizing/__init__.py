"""How many cameras a machine holds: synthetic footage played as live cameras, measured and not calculated."""
