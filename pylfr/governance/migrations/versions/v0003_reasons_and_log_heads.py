"""Why somebody decided so, and how far the audit log had come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pylfr.governance.audit.chain import GENESIS

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    for table in ("adjudications", "engagements", "outcomes"):
        op.add_column(table, sa.Column("reason", sa.Text))
    heads = op.create_table(
        "log_heads",
        sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.execute(heads.insert().values(only=1, sequence=0, digest=GENESIS))


def downgrade() -> None:
    """Drop them."""
    op.drop_table("log_heads")
    for table in ("adjudications", "engagements", "outcomes"):
        op.drop_column(table, "reason")
