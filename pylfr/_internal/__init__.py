"""Parts that every floor shares; no interface of pylfr."""
