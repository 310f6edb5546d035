"""Every condition names its source, and every source has a condition that is tested."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tests._internal import test_names, test_printable
from tests.cli import test_enrol_batch, test_limits
from tests.conditions import (
    test_camera_faults,
    test_cameras,
    test_commands,
    test_http_cameras,
    test_pictures,
    test_recordings,
)
from tests.conditions.sources import (
    CAMERAS,
    COMMANDS,
    ENROLMENT,
    NAMES,
    PICTURES,
    RECORDINGS,
    Sources,
    source_of,
)
from tests.faces import test_lettering
from tests.video.sources import test_srt

# Plain forms, for comparison.
PLAIN = (
    "MP4", "MP4 with its index in front", "fragmented MP4", "MKV", "WebM", "transport stream", "program stream",
    "AVI", "FLV", "zeros behind an MKV",
    "pictures of which each depends on some around it", "pictures that are renewed in parts", "one picture",
)  # fmt: skip


def names_of(*modules: ModuleType) -> list[str]:
    return [name for module in modules for name in vars(module) if name.startswith("test_")]


CONDITIONS: dict[str, tuple[list[str], Sources]] = {
    "recordings": ([each.what for each in (*test_recordings.WHOLE, *test_recordings.DAMAGED)], RECORDINGS),
    "cameras": (
        [
            *(f"srt: {name}" for name in names_of(test_srt)),
            *names_of(test_cameras, test_http_cameras, test_camera_faults),
        ],
        CAMERAS,
    ),
    "pictures": ([*(each.what for each in test_pictures.READ), *test_pictures.REFUSED], PICTURES),
    "names": (names_of(test_lettering, test_names, test_printable), NAMES),
    "enrolment": (names_of(test_enrol_batch), ENROLMENT),
    "commands": (
        [*(each.complaint for each in test_commands.MISTAKES), *names_of(test_commands, test_limits)],
        COMMANDS,
    ),
}


@pytest.mark.parametrize(("names", "sources"), CONDITIONS.values(), ids=list(CONDITIONS))
def test_every_condition_has_a_source_and_every_source_a_condition(names: list[str], sources: Sources) -> None:
    assert [name for name in names if source_of(name, sources) is None and name not in PLAIN] == []
    used = {next((part for part, _ in sources if part in name), None) for name in names}
    assert [part for part, _ in sources if part not in used] == []


@pytest.mark.parametrize("sources", [sources for _, sources in CONDITIONS.values()], ids=list(CONDITIONS))
def test_a_source_is_a_report_by_its_number_or_a_part_of_a_specification(sources: Sources) -> None:
    for _, source in sources:
        form = r"[\w.-]+/[\w.-]+#\d+" if "#" in source else r".*[\d(].*"
        assert re.fullmatch(form, source), source
