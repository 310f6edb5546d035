"""The first tables: alerts, what people decided about them, and the deployments they belong to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("authorisation", sa.String(64), nullable=False, index=True),
        sa.Column("camera", sa.Text, nullable=False),
        sa.Column("captured_at", sa.String(32), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.Column("entry", sa.Text),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("min_adjudicators", sa.Integer, nullable=False),
        sa.Column("erase_at", sa.String(32), nullable=False, index=True),
    )
    for name, word, size in (("engagements", "decision", 32), ("outcomes", "finding", 32)):
        op.create_table(
            name,
            sa.Column("alert", sa.String(36), sa.ForeignKey("alerts.id"), primary_key=True),
            sa.Column("officer", sa.Text, nullable=False),
            sa.Column(word, sa.String(size), nullable=False),
            sa.Column("at", sa.String(32), nullable=False),
        )
    op.create_table(
        "adjudications",
        sa.Column("alert", sa.String(36), sa.ForeignKey("alerts.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("adjudicator", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.UniqueConstraint("alert", "adjudicator"),
    )
    op.create_table(
        "deployments",
        sa.Column("authorisation", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("first_run_at", sa.String(32), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop them all."""
    for name in ("deployments", "outcomes", "engagements", "adjudications", "alerts"):
        op.drop_table(name)
