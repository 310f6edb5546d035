"""How many cameras a machine holds: made-up footage played as live cameras, measured and not calculated."""
