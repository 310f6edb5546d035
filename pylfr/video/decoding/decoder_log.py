"""Damage that FFmpeg's decoders only log: what they conceal raises no error and, in H.264, sets no flag.

A process that only decodes gives them its stderr. Elsewhere their log is not read: PyAV's log callback takes the GIL
on FFmpeg's threads and can deadlock.
"""

from __future__ import annotations

import os
import re
import sys

import av.logging

# After its first picture an intact recording causes none of these; it does cause other messages.
_DAMAGE = re.compile(
    # H.264 and H.265
    r"error while decoding MB|qscale diff failed|unavailable for requested|in \w slice too large|zero coeffs"
    r"|out of range intra|Invalid level prefix|Invalid mb_qp_delta|delta_quant out of range|dquant out of range"
    r"|first_mb_in_slice overflow|deblocking_filter_idc|deblocking filter parameters|reference count overflow"
    r"|reference picture missing|Missing reference picture|Could not find ref with POC|CABAC_MAX_BIN|cu_qp_delta"
    r"|Overread slice header|Invalid NAL unit size|Error splitting the input into NAL units|slice_qp|cbp too large"
    # MPEG-1, 2 and 4
    r"|concealing \d+|damaged at|damaged$|corrupted at|texture corrupted|end mismatch|slice mismatch|mb incr"
    r"|Error at MB|header damaged|marker does not match|[Ii]nvalid mb type|skipped MB in I-frame|motion_type at"
    r"|illegal|dc overflow|error count: \d|slice below image|slice too small|invalid cbp|vop not coded.*damaged"
    # JPEG, whose last marker some cameras leave out and others write twice
    r"|overread \d|bad vlc|error dc|error y=|dqt: 0 quant|invalid id \d"
    r"|No JPEG data|ac-tex|mjpeg_decode|huffman table|decode_sos"
    # VP8, VP9, AV1, Theora
    r"|Truncated|[Ii]nvalid sync code|Not all references|Requested reference|Header size too small|end of partition"
    r"|Premature|Corrupt|CRC mismatch|vp4_|unpack_"
)
_DECODER = re.compile(r"^\[(?:h264|hevc|mpeg\dvideo|mpeg4|mjpeg|vp8|vp9|libdav1d|av1|theora|ogg) @ \w+\] ")
_MOST_BYTES = 65536

_STDERR = 2
_heard: list[int] = []


def hear_decoders() -> None:
    """Redirect this process's stderr, until it ends, to a pipe that ``complaint`` reads.

    Messages that do not fit into the pipe are lost, so that nothing blocks.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    sys.stderr.flush()
    os.dup2(writing, _STDERR)
    os.close(writing)
    av.logging.set_libav_level(av.logging.INFO)
    av.logging.restore_default_callback()
    _heard.append(reading)


def complaint() -> str | None:
    """The first message since the last call that means damage; None where there is none or stderr is not redirected."""
    if not _heard:
        return None
    try:
        return first_complaint(os.read(_heard[0], _MOST_BYTES).decode(errors="replace"))
    except BlockingIOError:
        return None


def first_complaint(said: str) -> str | None:
    """The first line from a video decoder that means damage, without the decoder's name."""
    for line in said.splitlines():
        words = _DECODER.sub("", line)
        if words != line and _DAMAGE.search(words):
            return words
    return None
