"""How the records database came to be, step by step (Alembic)."""
