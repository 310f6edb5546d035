"""Search structures built from a watchlist."""
