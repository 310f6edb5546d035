"""Pages of the documentation site, and in tools/ what generates some of them."""
