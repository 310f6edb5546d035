from __future__ import annotations

import pytest

from pylfr._internal.secrets import redact, resolve_secrets
from pylfr.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://host:554/cam", "rtsp://host:554/cam"),
        ("rtsp://admin:hunter2@host:554/cam", "rtsp://***@host:554/cam"),
        ("rtsp://admin:hunt@er2@host/cam", "rtsp://***@host/cam"),
        ("rtsp://admin@host/cam", "rtsp://***@host/cam"),
        ("rtsp://host/cam?password=hunter2", "rtsp://host/cam?***"),
        ("https://host/hook#hunter2", "https://host/hook?***"),
        ("admin:hunter2@host/cam", "***"),
        ("rtsp://[hunter2@host", "***"),
        ("/dev/video0", "/dev/video0"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_variables_are_put_in_percent_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_PASSWORD", "p@ss/w:rd")
    url = resolve_secrets("rtsp://admin:${GATE_PASSWORD}@host/cam", name="camera", percent_encoded=True)
    assert url == "rtsp://admin:p%40ss%2Fw%3Ard@host/cam"
    assert resolve_secrets("${GATE_PASSWORD}", name="camera") == "p@ss/w:rd"


def test_text_without_variables_stays_as_it_is() -> None:
    assert resolve_secrets("rtsp://host/$cam{1}", name="camera") == "rtsp://host/$cam{1}"


def test_a_variable_that_is_not_set_is_named_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATE_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match=r"camera gate refers to \$\{GATE_PASSWORD\}, which is not set: export"):
        resolve_secrets("rtsp://${GATE_PASSWORD}@host", name="camera gate")
