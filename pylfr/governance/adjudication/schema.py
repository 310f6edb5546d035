"""The tables of the records database. Any change of them is a new file in ``migrations/versions``."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Integer, MetaData, String, Table, Text, UniqueConstraint

METADATA = MetaData()

# Times are ISO 8601 in UTC, so that they sort and read the same in every database. ``entry`` is erased when the
# alert's retention ends; at ``forget_at``, then null, who decided goes and times become days. ``key`` and ``signature``
# are those of the person who decided, where decisions are signed. ``log_heads`` holds how far the audit log had come.
ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("authorisation", String(64), nullable=False, index=True),
    Column("camera", Text, nullable=False),
    Column("captured_at", String(32), nullable=False),
    Column("recorded_at", String(32), nullable=False),
    Column("entry", Text),
    Column("score", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("min_adjudicators", Integer, nullable=False),
    Column("erase_at", String(32), nullable=False, index=True),
    Column("forget_at", String(32), index=True),
)
ADJUDICATIONS = Table(
    "adjudications",
    METADATA,
    Column("alert", String(36), ForeignKey("alerts.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("adjudicator", Text, nullable=False),
    Column("verdict", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("reason", Text),
    Column("key", Text),
    Column("signature", Text),
    UniqueConstraint("alert", "adjudicator"),
)
ENGAGEMENTS = Table(
    "engagements",
    METADATA,
    Column("alert", String(36), ForeignKey("alerts.id"), primary_key=True),
    Column("officer", Text, nullable=False),
    Column("decision", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("reason", Text),
    Column("key", Text),
    Column("signature", Text),
)
OUTCOMES = Table(
    "outcomes",
    METADATA,
    Column("alert", String(36), ForeignKey("alerts.id"), primary_key=True),
    Column("officer", Text, nullable=False),
    Column("finding", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("reason", Text),
    Column("key", Text),
    Column("signature", Text),
)
DEPLOYMENTS = Table(
    "deployments",
    METADATA,
    Column("authorisation", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("profile", String(64), nullable=False),
    Column("first_run_at", String(32), nullable=False),
    Column("words", Text, nullable=False),
)
LOG_HEADS = Table(
    "log_heads",
    METADATA,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
)
