"""Alembic migrations, run when the backend starts."""
