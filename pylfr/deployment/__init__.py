"""What a deployment file says, and how it becomes a running engine."""
