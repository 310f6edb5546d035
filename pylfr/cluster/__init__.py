"""One deployment on many machines: a head that places cameras and keeps the record, an engine on every node."""
