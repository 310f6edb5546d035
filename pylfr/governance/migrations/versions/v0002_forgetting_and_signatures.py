"""When who decided is forgotten, and room for the signature of whoever decides."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from alembic import op

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import ConfigError
from pylfr.governance.authorisation.profiles import read_profile

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Alerts of before, of a deployment whose policy is not known: as the policies for live use have it.
_UNKNOWN_DAYS = 31.0


def upgrade() -> None:
    """Add the columns, and give every alert of before the time that its deployment's policy asks for."""
    op.add_column("alerts", sa.Column("forget_at", sa.String(32)))
    op.create_index("ix_alerts_forget_at", "alerts", ["forget_at"])
    for table in ("adjudications", "engagements", "outcomes"):
        op.add_column(table, sa.Column("key", sa.String(80)))
        op.add_column(table, sa.Column("signature", sa.String(96)))
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT alerts.id, alerts.recorded_at, deployments.profile FROM alerts"
            " LEFT JOIN deployments ON deployments.authorisation = alerts.authorisation"
        )
    ).all()
    for id_, recorded_at, profile in rows:
        forget_at = datetime.fromisoformat(recorded_at) + timedelta(days=_days(profile))
        connection.execute(
            sa.text("UPDATE alerts SET forget_at = :at WHERE id = :id"), {"at": utc_text(forget_at), "id": id_}
        )


def downgrade() -> None:
    """Drop the columns."""
    op.drop_index("ix_alerts_forget_at", "alerts")
    op.drop_column("alerts", "forget_at")
    for table in ("adjudications", "engagements", "outcomes"):
        op.drop_column(table, "signature")
        op.drop_column(table, "key")


def _days(profile: str | None) -> float:
    try:
        return read_profile(profile).outcome_retention_days if profile is not None else _UNKNOWN_DAYS
    except ConfigError:
        return _UNKNOWN_DAYS
