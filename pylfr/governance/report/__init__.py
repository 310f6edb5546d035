"""The public report of a deployment."""
