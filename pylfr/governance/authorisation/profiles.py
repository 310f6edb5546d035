"""What the law of a place asks of a deployment: TOML files that read like policy."""

from __future__ import annotations

from importlib import resources

from pydantic import Field

from pylfr._internal.toml_model import ConfigModel, read_tables, record_from
from pylfr.errors import ConfigError


class Profile(ConfigModel):
    """One jurisdiction's policy. Times are hours or days; rates are fractions."""

    name: str
    title: str
    sources: tuple[str, ...] = Field(description="what it was drawn from; not legal advice")
    network_cameras: bool = Field(description="whether live cameras may be used at all")
    max_window_h: float = Field(gt=0)
    urgent_window_h: float = Field(ge=0, description="how long an urgent authorisation lasts; 0: there is none")
    requires_calibration: bool
    requires_cohorts: bool
    requires_impact_assessments: bool
    requires_signage: bool
    requires_sealed_watchlist: bool
    requires_trusted_officers: bool = Field(
        description="officers' keys are named in a file that whoever operates cannot write"
    )
    requires_signed_certificates: bool = Field(
        description="certificates are signed by who measured, whom that file names"
    )
    calibration_max_age_days: float = Field(gt=0)
    cohorts_max_age_days: float = Field(gt=0)
    max_watchlist: int = Field(ge=1)
    fpir_ceiling: float = Field(gt=0, le=1, description="false alerts a face seen, above which a run pauses itself")
    min_adjudicators: int = Field(ge=1, le=2)
    requires_signed_decisions: bool = Field(description="everybody who decides has a key, which the officer signed for")
    reasons_for: tuple[str, ...] = Field(description="decisions that must give their reason, as the record words them")
    alert_retention_h: float = Field(gt=0)
    watchlist_retention_h: float = Field(ge=0, description="after the window ends")
    outcome_retention_days: float = Field(gt=0)
    categories: tuple[str, ...] = Field(description="whom a watchlist may hold; empty: the controller's own words")
    higher_approval: tuple[str, ...] = Field(description="categories that need a second officer's signature")
    requires_origin: bool = Field(description="source, lawful basis, capture date and a review of every reference")
    min_enrollers: int = Field(ge=1, le=2, description="2: who reviews a reference is not who proposed it")
    review_max_age_h: float = Field(gt=0, description="how old a review may be when a run starts")
    forbidden: tuple[str, ...] = Field(description="what no deployment may do, in words for its operators")


def profile_names() -> tuple[str, ...]:
    """The profiles that ship with pylfr."""
    folder = resources.files("pylfr.governance") / "profiles"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def read_profile(name: str) -> Profile:
    """The profile of that name. Raises ``ConfigError``, naming those there are, for an unknown one."""
    if name not in profile_names():
        raise ConfigError(f"profile must be one of {', '.join(profile_names())}, got {name!r}")
    with resources.as_file(resources.files("pylfr.governance") / "profiles" / f"{name}.toml") as path:
        return record_from(read_tables(path, ConfigError), Profile, path=path, error_kind=ConfigError)
