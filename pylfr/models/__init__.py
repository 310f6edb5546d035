"""What a network is: manifests, the catalogue, and where files are found."""
