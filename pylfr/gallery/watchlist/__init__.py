"""The watchlist file: references, sealing, withdrawal."""
