"""What people decide about alerts, signed and stored."""
