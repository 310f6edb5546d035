"""Sections on cameras: where their pictures come from, how they are decoded, the zone of recognition."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pylfr._internal.toml_model import ConfigModel, Name
from pylfr.deployment.sections.fields import FilePath
from pylfr.governance.authorisation.authority import Moment
from pylfr.video.decoding.expected_stream import ExpectedStream
from pylfr.video.decoding.picture_options import PictureOptions, parse_aspect
from pylfr.video.open import DecodeOn, Isolation, Transport
from pylfr.video.sources.zone import Polygon, Zone


class DecodeSection(ConfigModel):
    """How recordings and reference images are decoded."""

    isolation: Isolation = Field(
        default="process", description="process: confined, without network and files; none: only for trusted recordings"
    )


class ZoneSection(ConfigModel):
    """The zone of recognition: the part of a camera's picture in which faces are looked for.

    What lies outside `watch` or inside one of `ignore` is blanked before detection and appears in no evidence.
    """

    watch: Polygon = Field(
        default=(), description="corners as shares of width and height, 0 to 1; empty: the whole picture"
    )
    ignore: tuple[Polygon, ...] = Field(default=(), description="polygons to leave out, corners as in watch")

    @model_validator(mode="after")
    def _is_a_zone(self) -> ZoneSection:
        self.zone()
        return self

    def zone(self) -> Zone:
        return Zone(watch=self.watch, ignore=self.ignore)


class CameraSection(ConfigModel):
    """One camera: a recording, a network camera or a device of this machine."""

    name: Name = Field(description="unique name, as it appears in alerts and in the authorisation")
    source: str = Field(
        min_length=1,
        description="rtsp(s)://..., http(s)://... (MJPEG or HLS), srt://..., /dev/video0, or a file relative to the "
        "working directory; secrets as ${NAME}",
    )
    pace: Literal["real-time", "as-fast-as-possible"] = Field(
        default="real-time", description="how a recording is played"
    )
    loop: bool = Field(default=False, description="start a recording over at its end")
    decode: DecodeOn = Field(default="cpu", description='cpu, or nvdec: on the GPU, with device = "cuda"')
    recorded_at: Moment | None = Field(
        default=None,
        description="when a recording was made (its first frame, with time zone): its frames must then lie inside the "
        "authorised window; unset: the time at which it is analysed counts",
    )
    zone: ZoneSection | None = Field(default=None, description="zone of recognition; unset: the whole picture")
    expect: str | None = Field(
        default=None, description='the stream it sends, "h264 1920x1080"; another stream is refused'
    )
    unchanged_after_s: float = Field(
        default=10.0, ge=1, le=3600, description="a live picture that has not changed for this long is reported, s"
    )

    transport: Transport = Field(
        default="tcp", description="what carries an RTSP camera's pictures; auto tries TCP, then UDP"
    )
    ca: FilePath | None = Field(
        default=None,
        description="certificates in PEM that rtsps:// and https:// trust, or the camera's own; unset: the system's",
    )
    redirects_to: tuple[str, ...] = Field(
        default=(), description="further hosts that an RTSP camera may redirect to, without its password"
    )
    stream: int | None = Field(
        default=None, ge=0, description="number of the video stream in the source; unset: its default stream"
    )
    rotate: Literal[0, 90, 180, 270] = Field(
        default=0, description="degrees clockwise by which pictures are turned, for a camera mounted sideways"
    )
    sample_aspect: str | None = Field(
        default=None, description='width:height of one pixel, "2:1", for a camera that does not tag it'
    )
    loop_filter: bool = Field(
        default=True,
        description="whether the CPU's decoder smooths the edges of coded blocks (H.264, H.265); false decodes faster",
    )
    frame_rate: float | None = Field(
        default=None, gt=0, le=1000, description="frames a second of a recording without usable time stamps"
    )

    @field_validator("sample_aspect")
    @classmethod
    def _is_an_aspect(cls, sample_aspect: str | None) -> str | None:
        if sample_aspect is not None:
            PictureOptions(sample_aspect=parse_aspect(sample_aspect))
        return sample_aspect

    @property
    def picture(self) -> PictureOptions:
        """What is set about its pictures."""
        return PictureOptions(
            stream=self.stream,
            rotate=self.rotate,
            sample_aspect=None if self.sample_aspect is None else parse_aspect(self.sample_aspect),
            rate_hz=self.frame_rate,
            loop_filter=self.loop_filter,
        )

    @field_validator("expect")
    @classmethod
    def _is_a_stream(cls, expect: str | None) -> str | None:
        return None if expect is None else str(ExpectedStream.parse(expect))

    @property
    def pin(self) -> ExpectedStream | None:
        """The stream that is expected of it; None for any."""
        return None if self.expect is None else ExpectedStream.parse(self.expect)

    @property
    def is_network(self) -> bool:
        """Whether it is a network camera."""
        return self.source.startswith(("rtsp://", "rtsps://", "http://", "https://", "srt://"))

    @property
    def is_device(self) -> bool:
        """Whether it is attached to this machine."""
        return self.source.startswith(("v4l2://", "/dev/"))
