"""pylfr: a live facial recognition engine. An alert is a prompt; a person decides."""
