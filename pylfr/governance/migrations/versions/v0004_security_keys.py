"""Room for what a security key signs, which is longer than a signature alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LENGTHS = {"key": 80, "signature": 96}


def upgrade() -> None:
    """Let both be of any length."""
    _change(to_text=True)


def downgrade() -> None:
    """As they were: fails where one is longer."""
    _change(to_text=False)


def _change(*, to_text: bool) -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # which holds no text to its length, and can change no column
    for table in ("adjudications", "engagements", "outcomes"):
        for column, length in _LENGTHS.items():
            short, long = sa.String(length), sa.Text()
            op.alter_column(table, column, existing_type=short if to_text else long, type_=long if to_text else short)
