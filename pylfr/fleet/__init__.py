"""Many sites, each with a deployment of its own: signed bundles to them, and what they say of themselves from them."""
