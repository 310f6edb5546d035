"""Alembic's entry: it runs on the connection that ``open_records`` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from pylfr.governance.adjudication.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
