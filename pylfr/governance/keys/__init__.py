"""Signing keys, encryption keys and where they are held."""
