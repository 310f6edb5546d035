"""Every condition of recordings that a public report of the field describes: what it is, and what must come of it.

Whole recordings give all their frames and no error; damaged ones give what can be decoded and then say what is
missing, at every rate of detection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from pylfr.errors import MediaError
from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.open import open_file
from tests.conditions.damaged_recordings import (
    altered,
    cut,
    followed_by,
    fragments,
    in_blocks_of_192,
    jpeg_without_end,
    overlapping,
    trimmed,
    without_bytes,
    without_packets,
    without_pictures,
    without_sixteen,
    zeroed,
)
from tests.conditions.playing import play
from tests.conditions.recordings import (
    FRAMES,
    HEIGHT,
    WIDTH,
    Make,
    anamorphic,
    displayed,
    in_av1,
    joined,
    jumping,
    late,
    negative,
    pausing,
    plain,
    programmes,
    two_streams,
    with_sound,
    written,
)
from tests.samples import NOON
from tests.video.clips import RATE_HZ

TS, TS2 = plain("a.ts"), plain("b.ts", frames=25)
AVI = plain("a.avi", "mpeg4", coding={"bf": "0"})
WEBM = plain("a.webm", "libvpx", coding={"bf": "0"})
FRAGMENTED = plain("a.mp4", options={"movflags": "frag_keyframe+empty_moov"})
# Fragments that say where they lie by themselves, as of players' segments.
SEGMENTS = plain("a.mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
AV1 = in_av1("a.mp4", {"movflags": "faststart"})
ASF = plain("a.asf", coding={"bf": "0"})
JPEGS = plain("a.mjpeg", "mjpeg", coding={"bf": "0"})
# So few bytes that each picture is one packet.
SMALL = {"bf": "0", "crf": "51", "g": "30"}
LIVE_MKV = plain("a.mkv", options={"live": "1"})
PAUSES = pausing(1.2, 9.5, 3, before_key_frames=True)
FAST_MP4 = plain("a.mp4", options={"movflags": "faststart"})


@dataclass(frozen=True)
class Condition:
    """``frames`` come of it (None: some), of ``size``; ``events`` beside opened and ended; ``missing`` is a pattern.

    The public report whose condition it is, or is a kind of, stands in ``tests/conditions/sources.py``.
    """

    what: str
    make: Make
    frames: int | None = FRAMES
    missing: str | None = None
    events: tuple[str, ...] = ()
    size: tuple[int, int] = (WIDTH, HEIGHT)
    options: PictureOptions = AS_SENT
    length_s: float | None = (FRAMES - 1) / RATE_HZ


def damaged(what: str, make: Make, missing: str) -> Condition:
    return Condition(what, make, frames=None, missing=missing, length_s=None)


WHOLE = (
    Condition("MP4", plain("a.mp4")),
    Condition("MP4 with its index in front", FAST_MP4),
    Condition("fragmented MP4", plain("a.mp4", options={"movflags": "frag_keyframe+empty_moov"})),
    Condition("MKV", plain("a.mkv")),
    Condition("WebM", WEBM),
    Condition("transport stream", TS),
    Condition("program stream", plain("a.mpg", "mpeg2video", coding={"bf": "0"}, frames=40), length_s=None),
    Condition("AVI", AVI),
    Condition("AVI with frames that look ahead", plain("a.avi")),
    Condition("FLV", plain("a.flv")),
    Condition("AVI with frames that are as the one before left out",
              plain("a.avi", "mpeg4", coding={"bf": "0"}, change=pausing(0.5, 0.7, before_key_frames=False)),
              length_s=None),
    Condition("MKV that starts late", late("a.mkv", 5.8)),
    Condition("MP4 that starts late", late("a.mp4", 5.8)),
    Condition("transport stream that starts late", late("a.ts", 5000)),
    Condition("time stamps below zero", negative("a.mkv")),
    Condition("sound that outlasts the picture", with_sound("a.mkv", 14)),
    Condition("sound that outlasts the picture in MP4", with_sound("a.mp4", 14)),
    Condition("elementary stream of H.264", plain("a.h264"), events=("noted",)),
    Condition("elementary stream of H.265", plain("a.hevc", "libx265", coding={"x265-params": "log-level=none"}),
              events=("noted",)),
    Condition("elementary stream of JPEG, its rate named", plain("a.mjpeg", "mjpeg", coding={"bf": "0"}),
              events=("noted",), options=PictureOptions(rate_hz=RATE_HZ)),
    Condition("two parts in one transport stream", joined("c.ts", TS, TS2), frames=FRAMES + 25,
              events=("restarted",), length_s=None),
    Condition("three parts", joined("c.ts", TS, TS2, TS), frames=2 * FRAMES + 25,
              events=("restarted", "restarted"), length_s=None),
    Condition("the codec changes", joined("c.ts", TS, plain("d.ts", "mpeg2video", coding={"bf": "0"})),
              frames=2 * FRAMES, events=("restarted",), length_s=None),
    Condition("a clock that leaps by an hour", plain("a.ts", change=jumping(3600)), events=("restarted",),
              length_s=None),
    *(Condition(f"two files of {suffix} put together",
                joined(f"c.{suffix}", plain(f"a.{suffix}", codec, coding=coding),
                       plain(f"b.{suffix}", codec, coding=coding, frames=25)),
                frames=FRAMES + 25, events=("restarted",), length_s=None)
      for suffix, codec, coding in (("mp4", "libx264", {}), ("mov", "libx264", {}), ("mkv", "libx264", {}),
                                    ("webm", "libvpx", {"bf": "0"}), ("avi", "mpeg4", {"bf": "0"}),
                                    ("flv", "libx264", {}), ("mpg", "mpeg2video", {"bf": "0"}))),
    Condition("fragmented files put together", joined("c.mp4", FRAGMENTED, FRAGMENTED), frames=2 * FRAMES,
              events=("restarted",), length_s=None),
    Condition("Matroska that was recorded live put together", joined("c.mkv", LIVE_MKV, LIVE_MKV), frames=2 * FRAMES,
              events=("restarted",), length_s=None),
    Condition("two kinds of Matroska put together", joined("c.mkv", plain("a.mkv"), WEBM), frames=2 * FRAMES,
              events=("restarted",), length_s=None),
    Condition("two files of ts that abut", joined("c.ts", TS, late("b.ts", FRAMES / RATE_HZ)), frames=2 * FRAMES,
              events=("restarted",), length_s=None),
    *(Condition(f"two parts of ts that overlap by {seconds} s",
                joined("c.ts", TS, late("b.ts", FRAMES / RATE_HZ - seconds)), frames=2 * FRAMES,
                events=("restarted",), length_s=None)
      for seconds in (0.2, 1, 3)),
    Condition("two cuts of a transport stream that overlap", overlapping(plain("a.ts", coding={"bf": "0"})), frames=53,
              events=("restarted",), length_s=None),
    Condition("JPEG pictures without their last marker in AVI", jpeg_without_end("a.avi"), length_s=None),
    Condition("several programmes in one transport stream", programmes("a.ts", 25, FRAMES, 30), events=("noted",)),
    Condition("a programme that was chosen", programmes("a.ts", 25, FRAMES, 30), frames=30, events=("noted",),
              options=PictureOptions(stream=2), length_s=2.9),
    Condition("a recorder that pauses while nothing moves", plain("a.mkv", coding={"bf": "0"}, change=PAUSES),
              events=("noted",), length_s=None),
    Condition("the same as a transport stream", plain("a.ts", coding={"bf": "0"}, change=PAUSES), events=("noted",),
              length_s=None),
    Condition("the same as MP4", plain("a.mp4", coding={"bf": "0"}, change=PAUSES), length_s=None),
    Condition("frames that are as the one before left out",
              plain("a.mkv", coding={"bf": "0"}, change=pausing(1.5, 10, 4, before_key_frames=False)),
              events=("noted",), length_s=None),
    Condition("the same as WebM",
              plain("a.webm", "libvpx", coding={"bf": "0"}, change=pausing(1.5, 10, 4, before_key_frames=False)),
              events=("noted",), length_s=None),
    Condition("the same as a transport stream, later",
              plain("a.ts", coding={"bf": "0"}, change=pausing(1.5, 9, 4, before_key_frames=False)),
              events=("noted",), length_s=None),
    Condition("a second stream that is not the default", two_streams("a.mkv", default=0), frames=3,
              size=(WIDTH // 2, HEIGHT // 2), events=("noted",), length_s=None),
    Condition("a second stream that is the default", two_streams("a.mkv", default=1), events=("noted",)),
    Condition("a stream that was chosen", two_streams("a.mkv", default=0), events=("noted",),
              options=PictureOptions(stream=1)),
    Condition("a cover picture before the video", two_streams("a.mkv", default=1, cover=True), events=("noted",)),
    Condition("a cover picture, nothing marked", two_streams("a.mkv", default=9, cover=True), events=("noted",)),
    Condition("a transport stream in a file that was made larger beforehand", followed_by(TS, bytes(100_000))),
    Condition("zeros behind an MKV", followed_by(plain("a.mkv"), bytes(100_000))),
    Condition("packets of 192 bytes, two parts", in_blocks_of_192(joined("c.ts", TS, TS2)), frames=FRAMES + 25,
              events=("restarted",), length_s=None),
    Condition("a clock that begins again after 26 hours", late("a.ts", 95441.7)),
    Condition("an MP4 that somebody trimmed", trimmed(plain("a.mp4", coding={"bf": "0"}), 1.5)),
    Condition("fragments of a recorder that started again", fragments(SEGMENTS, slice(None), slice(None)),
              frames=2 * FRAMES, events=("restarted",), length_s=None),
    Condition("pictures of which each depends on some around it", plain("a.ts", coding={"x264-params": "open-gop=1"})),
    Condition("pictures that are renewed in parts", plain("a.ts", coding={"bf": "0", "intra-refresh": "1"})),
    Condition("one picture", plain("a.ts", frames=1), frames=1, length_s=0),
    Condition("wide pixels", anamorphic("a.mp4", Fraction(2)), size=(2 * WIDTH, HEIGHT)),
    Condition("narrow pixels", anamorphic("a.mkv", Fraction(1, 2)), size=(WIDTH, 2 * HEIGHT)),
    Condition("wide pixels that nobody tagged", plain("a.mp4"), size=(2 * WIDTH, HEIGHT),
              options=PictureOptions(sample_aspect=Fraction(2))),
    Condition("a telephone held upright", displayed("a.mp4", 90), size=(HEIGHT, WIDTH)),
    Condition("a camera mounted sideways", plain("a.mp4"), size=(HEIGHT, WIDTH), options=PictureOptions(rotate=270)),
)  # fmt: skip

DAMAGED = (
    damaged(
        "the second of two files cut off", cut(joined("c.mkv", plain("a.mkv"), plain("a.mkv")), 0.8), "cut off|missing"
    ),
    damaged(
        "the second of two files without its index",
        cut(joined("c.mp4", plain("a.mp4"), plain("a.mp4")), 0.8),
        "part 2 cannot be read",
    ),
    damaged("MP4 cut off", cut(FAST_MP4), r"frames are missing"),
    damaged("fragmented MP4 cut off", cut(plain("a.mp4", options={"movflags": "frag_keyframe+empty_moov"})), "damaged"),
    damaged("MKV cut off", cut(plain("a.mkv")), r"it is cut off \d\.\d s before its end"),
    damaged("WebM cut off", cut(WEBM), r"it is cut off \d\.\d s before its end"),
    damaged("transport stream cut off", cut(TS, 0.601), "it ends in the middle of a packet"),
    damaged("AVI cut off", cut(AVI), "cut off [0-9,]+ bytes before its end"),
    damaged("MP4 overwritten", zeroed(FAST_MP4), "could not be decoded|are damaged"),
    damaged("MKV overwritten", zeroed(plain("a.mkv")), r"\d\.\d s are missing after \d\.\d s"),
    damaged("WebM overwritten", zeroed(WEBM), r"\d\.\d s are missing after \d\.\d s"),
    damaged("transport stream overwritten", zeroed(TS), "are damaged|could not be decoded"),
    damaged("AVI overwritten", zeroed(AVI), "are damaged|could not be decoded|are missing"),
    damaged("MKV without some bytes", without_bytes(plain("a.mkv")), r"\d\.\d s are missing after \d\.\d s"),
    damaged("WebM without some bytes", without_bytes(WEBM), r"\d\.\d s are missing after \d\.\d s"),
    damaged("transport stream without some packets", without_packets(TS), "are damaged|could not be decoded"),
    damaged("MKV that was recorded live cut off", cut(LIVE_MKV), "it ends in the middle of a picture"),
    damaged(
        "WebM that was recorded live cut off",
        cut(plain("a.webm", "libvpx", coding={"bf": "0"}, options={"live": "1"})),
        "it ends in the middle of a picture",
    ),
    damaged("a fragment missing", fragments(SEGMENTS, slice(1), slice(2, None)), r"\d\.\d s are missing after"),
    damaged("elementary stream overwritten", zeroed(plain("a.h264")), "missing by their own numbers"),
    damaged("elementary stream without some bytes", without_bytes(plain("a.h264")), "missing by their own numbers"),
    damaged("FLV overwritten", zeroed(plain("a.flv")), r"\d\.\d s are missing after"),
    damaged("FLV without some bytes", without_bytes(plain("a.flv")), r"\d\.\d s are missing after"),
    damaged(
        "AVI of JPEG pictures overwritten", zeroed(plain("a.avi", "mjpeg", coding={"bf": "0"})), "frames are missing"
    ),
    damaged("AV1 in MP4 overwritten", zeroed(AV1), "no picture came of them"),
    damaged(
        "sixteen packets of pictures missing", without_sixteen(TS), "missing by their own numbers|are missing after"
    ),
    damaged(
        "sixteen packets of a key frame missing, and all that depends on it",
        without_sixteen(plain("a.ts", coding={"bf": "0", "g": "20", "sc_threshold": "0"}), picture=20),
        "no picture came of them|their own numbers",
    ),
    damaged(
        "sixteen packets of H.265 missing",
        without_sixteen(plain("a.ts", "libx265", coding={"x265-params": "log-level=none"})),
        "missing by their own numbers|are missing after|damaged",
    ),
    damaged("ASF overwritten", zeroed(ASF, 0.1), "are damaged|overwritten"),
    damaged("ASF without some bytes", without_bytes(ASF), "packets of the file are damaged"),
    damaged("JPEG pictures alone overwritten", zeroed(JPEGS, 0.1), "overwritten or cut"),
    damaged(
        "JPEG pictures alone without some bytes", without_bytes(JPEGS), "no picture came of them|overwritten or cut"
    ),
    damaged("a fragmented MP4 without some bytes", without_bytes(FRAGMENTED), "boxes do not follow|cut off|missing"),
    damaged("IVF without some bytes", without_bytes(plain("a.ivf", "libvpx", coding={"bf": "0"})), "frame"),
    damaged(
        "sixteen packets of a stream of constant rate missing, each a picture",
        without_sixteen(plain("a.ts", coding=SMALL, options={"muxrate": "400000"}, frames=150)),
        "missing after",
    ),
    damaged(
        "sixteen packets missing, each a picture, of a stream that is alone",
        without_sixteen(plain("a.ts", coding=SMALL, frames=150)),
        "missing after",
    ),
    damaged(
        "sixteen packets of pictures missing that announce their lengths",
        without_sixteen(plain("a.ts", options={"omit_video_pes_length": "0"}, coding={"bf": "0"}), within=True),
        "lack bytes that they announce",
    ),
    damaged(
        "the last pictures before a key frame missing",
        without_pictures(with_sound("a.ts", 4), 7, 8),
        "missing by their own numbers",
    ),
    damaged(
        "the last pictures of a group of MPEG-2 missing",
        without_pictures(plain("a.ts", "mpeg2video", coding={"bf": "0"}), 18, 19),
        "missing by their own numbers",
    ),
    damaged("AVI without some bytes", without_bytes(AVI), "are missing|are damaged"),
)


REFUSED = (
    ("a GIF", plain("a.gif", "gif", pixels="rgb8")),
    ("raw DV", plain("a.dv", "dvvideo", size=(720, 576), rate_hz=25)),
    ("got dvvideo: convert it", plain("a.avi", "dvvideo", size=(720, 576), rate_hz=25)),
    ("got an unknown one: convert it", altered(plain("a.mkv"), b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ")),
    ("raw video of YUV4MPEG2", plain("a.y4m", "wrapped_avframe")),
    ("an HTML page", written(b"<!DOCTYPE html><title>Sign in</title>")),
    ("a playlist of HLS", written(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")),
    ("sound \\(WAV\\)", written(b"RIFF\0\0\0\0WAVEfmt ")),
    ("a JPEG picture", written(b"\xff\xd8\xff\xe0" + bytes(100))),
    ("cut off before its index was written", cut(plain("a.mp4"))),
)


@pytest.mark.parametrize(("words", "make"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_is_no_recording_is_called_what_it_is(tmp_path: Path, words: str, make: Make) -> None:
    with pytest.raises(MediaError, match=words):
        open_file(make(tmp_path), camera="gate", started_at=NOON)


@pytest.mark.parametrize("condition", WHOLE, ids=lambda condition: condition.what)
@pytest.mark.parametrize("rate_hz", [None, 5.0, 1.0])
def test_a_whole_recording_gives_every_frame_in_order(
    tmp_path: Path, condition: Condition, rate_hz: float | None
) -> None:
    watch, sizes, due, error = play(condition.make(tmp_path), condition.options, rate_hz)
    assert error == ""
    assert len(watch.times_s) + watch.skipped_frames == condition.frames
    assert watch.times_s == sorted(set(watch.times_s))
    assert sizes == {condition.size}
    assert tuple(event.kind for event in watch.events) == ("opened", *condition.events, "ended")
    if condition.length_s is not None:
        assert watch.times_s[0] == 0
        assert watch.times_s[-1] <= condition.length_s + 0.03
        if rate_hz is None:
            assert watch.times_s[-1] == pytest.approx(condition.length_s, abs=0.03)
        else:
            # The first frame of every slot, and no fewer.
            assert due == -(-(condition.frames or 0) * rate_hz // RATE_HZ)


@pytest.mark.parametrize("condition", DAMAGED, ids=lambda condition: condition.what)
@pytest.mark.parametrize("rate_hz", [None, 5.0, 1.0])
def test_a_damaged_recording_gives_what_it_holds_and_says_what_is_missing(
    tmp_path: Path, condition: Condition, rate_hz: float | None
) -> None:
    watch, _, due, error = play(condition.make(tmp_path), condition.options, rate_hz)
    assert due > 0
    assert len(watch.times_s) + watch.skipped_frames >= FRAMES // 3
    assert condition.missing is not None
    assert re.search(condition.missing, error), error


def test_parts_and_errors_cross_the_isolation(tmp_path: Path) -> None:
    """The kinds above, once through the confined process: events, geometry and the verdict cross it."""
    watch, _, _, error = play(joined("c.ts", TS, TS2)(tmp_path), AS_SENT, None, "process")
    assert [event.kind for event in watch.events] == ["opened", "restarted", "ended"]
    assert (error, len(watch.times_s)) == ("", FRAMES + 25)
    _, sizes, _, _ = play(
        plain("a.mp4")(tmp_path), PictureOptions(sample_aspect=Fraction(2), rotate=90), 1.0, "process"
    )
    assert sizes == {(HEIGHT, 2 * WIDTH)}
    _, _, _, error = play(cut(plain("a.mkv"))(tmp_path), AS_SENT, 1.0, "process")
    assert "before its end" in error


def test_no_track_can_span_a_restart(tmp_path: Path) -> None:
    watch, *_ = play(joined("c.ts", TS, TS2)(tmp_path), AS_SENT, None)
    steps = [after - before for before, after in zip(watch.times_s, watch.times_s[1:], strict=False)]
    assert max(steps) > 1.9
    assert sum(step > 0.5 for step in steps) == 1


def test_a_stream_that_is_not_there_is_refused_by_number(tmp_path: Path) -> None:
    path = two_streams("a.mkv", default=1)(tmp_path)
    with pytest.raises(
        MediaError, match=r"must have a video stream 5, got 0 \(h264 48x32\), 1 \(h264 96x64, default\)"
    ):
        open_file(path, camera="gate", started_at=NOON, picture=PictureOptions(stream=5))
