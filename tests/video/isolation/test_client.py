"""What strangers made is decoded where it can do no harm: the doors are tried, and hostile files are handed in."""

from __future__ import annotations

import gc
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import pylfr
from pylfr.errors import MediaError
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.image_io import read_image
from pylfr.video.isolation import client, decoder_process
from pylfr.video.isolation.client import IsolatedFile, read_image_isolated
from pylfr.video.isolation.decoder_process import Decoder
from pylfr.video.isolation.wire import Job, PictureShape
from pylfr.video.open import FileSource, Isolation, open_file
from pylfr.video.sources.observer import CameraEvent
from tests.samples import NOON
from tests.video.clips import RATE_HZ, cut, recording, write_clip
from tests.video.decoding.test_image_io import gradient, png_that_claims
from tests.video.test_open import Diary


def isolated_file(path: Path, *, loop: bool = False) -> IsolatedFile:
    source = recording(path, loop=loop, isolation="process")
    assert isinstance(source, IsolatedFile)
    return source


def children() -> set[int]:
    """The decoding processes that this one has started and that live."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = folder.joinpath("stat").read_text().rsplit(")", 1)[1].split()
            is_decoder = b"pylfr.video.isolation.worker" in folder.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if is_decoder and state[0] != "Z" and int(state[1]) == os.getpid():
            found.add(int(folder.name))
    return found


ATTEMPTS = (
    "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "socket.socket(socket.AF_UNIX)",
    "open('/etc/passwd')",
    "os.open('/tmp/written', os.O_CREAT | os.O_RDWR)",
    "os.mkdir('/tmp/made')",
    "os.unlink('/tmp/written')",
    "os.rename('/tmp/a', '/tmp/b')",
    "os.listdir('/')",
    "os.fork()",
    "os.execv('/bin/true', ['/bin/true'])",
    "os.kill(os.getppid(), signal.SIGTERM)",
    "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "os.memfd_create('x')",
    "os.chmod('/tmp', 0o777)",
)


def confined(*attempts: str) -> list[str]:
    """What happens to Python statements in a process that has confined itself."""
    program = f"""
import fcntl, mmap, os, signal, socket, sys, threading, types
sys.modules["pylfr"] = package = types.ModuleType("pylfr")
package.__path__ = {list(pylfr.__path__)!r}
from pylfr.video.isolation.sandbox import confine
confine(memory_mb=200)
for attempt in {attempts!r}:
    try:
        exec(attempt)
    except BaseException as error:
        print(type(error).__name__, getattr(error, "errno", None))
    else:
        print("done")
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_a_confined_process_opens_no_door_and_still_computes() -> None:
    useful = ("sum(range(1000))", "threading.Thread(target=sum, args=([],)).start()", "bytearray(400_000_000)")
    assert dict(zip((*ATTEMPTS, *useful), confined(*ATTEMPTS, *useful), strict=True)) == {
        **dict.fromkeys(ATTEMPTS, "PermissionError 1"),
        **dict.fromkeys(useful[:2], "done"),
        useful[2]: "MemoryError None",
    }


def test_an_unknown_machine_cannot_confine() -> None:
    assert "no list of system calls for riscv" in subprocess.run(
        [sys.executable, "-c", "import platform; platform.machine = lambda: 'riscv'\n"
         "from pylfr.video.isolation.sandbox import confine\nconfine(memory_mb=1)"],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip


def test_a_confined_recording_gives_the_same_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=30, width=50, height=38)
    mine, other = list(recording(clip).frames()), list(isolated_file(clip).frames())
    assert len(mine) == len(other) == 30
    for frame, same in zip(mine, other, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, same.planes, strict=True))
        assert not any(plane.flags.writeable or plane.flags.owndata for plane in same.planes)
        for name in ("camera", "sequence", "captured_at", "layout", "matrix", "full_range"):
            assert getattr(frame, name) == getattr(same, name)


@pytest.mark.parametrize(("codec", "pixels"), [("rawvideo", "nv12"), ("ffv1", "bgr0"), ("libx264", "yuv422p")])
def test_every_layout_comes_through_and_a_conversion_is_said(
    tmp_path: Path, codec: str, pixels: str, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_clip(tmp_path / "a.mkv", frames=2, codec=codec, pixels=pixels)
    mine = list(recording(clip).frames())
    caplog.clear()
    for frame, same in zip(mine, isolated_file(clip).frames(), strict=True):
        assert frame.layout == same.layout
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, same.planes, strict=True))
    assert len([record for record in caplog.records if "converted" in record.message]) == (pixels != "nv12")


def test_frames_that_are_kept_stay_as_they_were_and_memory_is_used_again(tmp_path: Path) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=60))
    kept: list[Frame] = []
    copies: list[UInt8] = []
    addresses = set()
    for frame in source.frames():
        addresses.add(frame.planes[0].ctypes.data)
        if frame.sequence % 10 == 0:
            kept.append(frame)
            copies.append(frame.planes[0].copy())
    del frame
    gc.collect()
    assert children() == set()
    assert all(np.array_equal(frame.planes[0], copy) for frame, copy in zip(kept, copies, strict=True))
    assert len(addresses) < 15


def test_only_what_is_due_is_built_and_the_camera_reports(tmp_path: Path) -> None:
    diary = Diary(step=10)
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=30))
    assert [frame.sequence for frame in source.watched(diary)] == [0, 10, 20]
    assert diary.asked == [NOON + timedelta(seconds=number / RATE_HZ) for number in range(30)]
    assert [event.kind for event in diary.events] == ["opened", "ended"]


def test_a_loop_goes_on_until_it_is_closed(tmp_path: Path) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=5), loop=True)
    numbers = []
    for frame in source.frames():
        numbers.append(frame.sequence)
        if len(numbers) == 12:
            source.close()
    assert numbers == list(range(12))
    assert list(source.frames()) == []
    assert children() == set()


def test_real_time_is_kept(tmp_path: Path) -> None:
    source = open_file(write_clip(tmp_path / "a.mp4", frames=6), camera="a", started_at=NOON, pace="real-time")
    began = time.monotonic()
    assert len(list(source.frames())) == 6
    assert time.monotonic() - began >= 0.5


def test_isolation_is_one_of_two_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="isolation must be 'process' or 'none', got 'maybe'"):
        open_file(tmp_path, camera="a", started_at=NOON, isolation="maybe")  # type: ignore[arg-type]


def test_a_picture_reads_as_it_does_here_and_leaves_no_process(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.webp", "a.tiff"):
        Image.fromarray(gradient()).save(tmp_path / name)
        assert np.array_equal(read_image_isolated(tmp_path / name), read_image(tmp_path / name))
    assert children() == set()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "WEBP"])
def test_a_truncated_picture_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(gradient(400, 300)).save(buffer, kind)
    (tmp_path / "a").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(MediaError, match=r"image .*/a must be a"):
        read_image_isolated(tmp_path / "a")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_that_claims(60_000, 60_000))
    with pytest.raises(MediaError, match="at most 50,000,000 pixels"):
        read_image_isolated(tmp_path / "a.png")


def test_a_format_that_nobody_keeps_photographs_in_is_refused(tmp_path: Path) -> None:
    # Pillow would start another program, Ghostscript, for this one.
    Image.fromarray(gradient()).save(tmp_path / "a.eps")
    with pytest.raises(MediaError, match="must be a JPEG, PNG or other picture"):
        read_image_isolated(tmp_path / "a.eps")


def test_a_text_chunk_that_unfolds_into_memory_is_refused(tmp_path: Path) -> None:
    content = zlib.compress(bytes(200_000_000), 9)
    chunk = b"zTXt" + b"k\0\0" + content
    whole = io.BytesIO()
    Image.fromarray(gradient()).save(whole, "PNG")
    png = whole.getvalue()
    bomb = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(png[:33] + bomb + png[33:])
    with pytest.raises(MediaError):
        read_image_isolated(tmp_path / "a.png")


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A web server's address and what was asked of it."""
    asked: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Ear)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def playlist(url: str, secret: Path) -> dict[str, str]:
    """Files that are only addresses of others: of this machine's files and of its network."""
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    return {
        "web.m3u8": hls.format(f"{url}/inside.ts"),
        "file.m3u8": hls.format(f"file://{secret}"),
        "concat.txt": f"ffconcat version 1.0\nfile '{secret}'\n",
        "web.txt": f"ffconcat version 1.0\nfile '{url}/inside.mp4'\n",
        "dash.mpd": f'<MPD type="static"><Period><BaseURL>{url}/</BaseURL></Period></MPD>',
        "picture.mvg": f"push graphic-context\nimage over 0,0 0,0 '{url}/x.jpg'\n",
        "web.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
    }


@pytest.mark.parametrize(
    "name", ["web.m3u8", "file.m3u8", "concat.txt", "web.txt", "dash.mpd", "picture.mvg", "web.sdp"]
)
@pytest.mark.parametrize("isolation", ["process", "none"])
def test_a_file_that_names_others_opens_none_of_them(
    tmp_path: Path, web: tuple[str, list[str]], name: str, isolation: Isolation
) -> None:
    url, asked = web
    secret = write_clip(tmp_path / "secret.mp4", frames=3)
    path = tmp_path / name
    path.write_text(playlist(url, secret)[name])
    with pytest.raises(MediaError, match="must be a recording that FFmpeg can read"):
        recording(path, isolation=isolation)
    assert asked == []


def pointing(movie: Path, elsewhere: Path) -> Path:
    """A copy of a QuickTime movie whose data reference is an alias: its pictures lie in the file ``elsewhere``."""
    content = movie.read_bytes()
    path = str(elsewhere).encode()
    path += bytes(len(path) % 2)
    levels = struct.pack(">hh", -1, -1)
    alias = bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(16) + levels + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0)
    reference = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    place = content.index(b"url \0\0\0\1") - 4
    changed = bytearray(content[:place] + reference + content[place + 12 :])
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        begins = content.rindex(box, 0, place) - 4
        (size,) = struct.unpack_from(">I", changed, begins)
        struct.pack_into(">I", changed, begins, size + len(reference) - 12)
    copy = movie.with_name("pointing.mov")
    copy.write_bytes(changed)
    return copy


def test_a_movie_whose_track_lies_in_another_file_does_not_open_it(tmp_path: Path) -> None:
    """FFmpeg follows such a reference where it is asked to: then the other file's pictures come. Here they do not."""
    movie = write_clip(tmp_path / "a.mov", frames=3, codec="mjpeg", pixels="yuvj420p")
    path = pointing(movie, movie)
    content = path.read_bytes()
    begins, ends = content.index(b"mdat") + 4, content.index(b"moov") - 4
    # It holds no picture of its own: whatever comes is the other file's.
    path.write_bytes(content[:begins] + bytes(ends - begins) + content[ends:])
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as followed:
        assert len(list(followed.decode(video=0))) == 3
    for isolation in ("process", "none"):
        with pytest.raises(MediaError, match="got 0 frames"):
            list(recording(path, isolation=isolation).frames())


def test_a_truncated_recording_gives_what_it_holds_and_then_says_so(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mkv", frames=100, codec="mjpeg", pixels="yuvj420p")
    frames = []

    def read() -> None:
        for frame in isolated_file(cut(whole, 0.6)).frames():
            frames.append(frame.sequence)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(MediaError, match=r"must hold 10\.0 s, got [56]\d frames .*cut off"):
        read()
    assert 50 <= len(frames) < 65


def claiming(clip: Path, width: int, height: int) -> Path:
    """A copy of an AVI whose header says that its pictures have this size."""
    content = bytearray(clip.read_bytes())
    place = content.index(b"strf") + 12
    content[place : place + 8] = struct.pack("<ii", width, height)
    copy = clip.with_name(f"{width}x{height}.avi")
    copy.write_bytes(content)
    return copy


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, isolation: Isolation) -> None:
    clip = write_clip(tmp_path / "a.avi", frames=1, codec="rawvideo", pixels="yuv420p")
    # The same file with nothing changed but the numbers passes, and one below the cap fails later, for want of pixels.
    assert len(list(recording(claiming(clip, 64, 48), isolation=isolation).frames())) == 1
    with pytest.raises(MediaError, match=r"must hold 0\.1 s .*, got 0 frames"):
        list(recording(claiming(clip, 8_000, 6_000), isolation=isolation).frames())
    with pytest.raises(MediaError, match="must have at most 50,000,000 pixels a picture, got 8000x8000"):
        recording(claiming(clip, 8_000, 8_000), isolation=isolation)


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_a_recording_without_an_end_is_refused(tmp_path: Path, isolation: Isolation) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for pts in (0, 1, 10 * 86_400 * 365 * 1_000):
            picture = av.VideoFrame(64, 48, "yuvj420p")
            picture.pts, picture.time_base = pts, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="must last 31 days at most, got a picture at"):
        list(recording(path, isolation=isolation).frames())


def test_a_codec_that_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", frames=1, codec="huffyuv", pixels="yuv422p")
    with pytest.raises(MediaError, match=r"must be coded as one of h264, .*, got"):
        isolated_file(clip)


def hanging(source: IsolatedFile, act: Callable[[int], None]) -> MediaError:
    """The error of a recording whose decoder is treated so after its first frame."""
    frames = source.frames()
    next(frames)
    (process,) = children()
    act(process)
    with pytest.raises(MediaError) as caught:
        list(frames)
    assert children() == set()
    return caught.value


class SoonImpatient(Decoder):
    """Waits as long as any for its first picture, which a busy machine may start late, and a second from then on."""

    def receive(self, message: Mapping[str, Any]) -> tuple[PictureShape, tuple[UInt8, ...]]:
        received = super().receive(message)
        self._own.settimeout(1.0)
        return received


def test_a_decoder_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=30))
    monkeypatch.setattr(client, "Decoder", SoonImpatient)
    error = hanging(source, lambda process: os.kill(process, signal.SIGSTOP))
    assert "its decoder gave nothing for 1 s and was stopped" in str(error)


def test_a_decoder_that_is_killed_is_an_error_of_its_recording(tmp_path: Path) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=30))
    error = hanging(source, lambda process: os.kill(process, signal.SIGKILL))
    assert "a.mp4: its decoder died (status -9)" in str(error)


def test_a_decoder_that_crashes_says_how_it_ended(tmp_path: Path) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=30))
    error = hanging(source, lambda process: os.kill(process, signal.SIGSEGV))
    assert "a.mp4: its decoder died (status -11): the file is damaged" in str(error)


def test_a_decoder_whose_own_program_fails_is_not_blamed_on_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=5))
    monkeypatch.setattr(
        decoder_process,
        "_START",
        decoder_process._START.replace("isolation.worker import main", "isolation import none"),
    )
    with pytest.raises(MediaError, match=r"its decoder died \(status 1\): it failed by itself"):
        list(source.frames())


def test_a_decoder_dies_with_its_parent_and_leaves_no_memory(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=5)
    program = f"""
import os, signal
from tests.video.isolation.test_client import children, isolated_file
from pathlib import Path
frames = isolated_file(Path({str(clip)!r}), loop=True).frames()
next(frames)
print(*children(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    before = set(Path("/dev/shm").iterdir())
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert found.returncode == -signal.SIGKILL, found.stderr
    (process,) = map(int, found.stdout.split())
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()
    assert set(Path("/dev/shm").iterdir()) == before


def test_a_decoder_knows_no_secret_and_leaves_no_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_PASSWORD", "hunter2")
    frames = isolated_file(write_clip(tmp_path / "a.mp4", frames=5)).frames()
    next(frames)
    (process,) = children()
    folder = Path(f"/proc/{process}")
    assert b"hunter2" not in folder.joinpath("environ").read_bytes() + folder.joinpath("cmdline").read_bytes()
    limits = folder.joinpath("limits").read_text()
    assert "Max core file size        0                    0" in limits
    status = dict(line.split(":\t", 1) for line in folder.joinpath("status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"].strip()) == ("1", "2")
    opened = {str(each.readlink()).split(":")[0] for each in folder.joinpath("fd").iterdir()}
    # The pipe is its own: what FFmpeg says into it, it reads itself.
    assert opened == {"/dev/null", "/memfd", "pipe", "socket", str(tmp_path / "a.mp4")}
    frames.close()  # type: ignore[attr-defined]
    assert children() == set()


def test_where_isolation_cannot_be_had_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=5)
    start = decoder_process._START.replace(
        "import socket\n", "import socket, platform\nplatform.machine = lambda: 'vax'\n"
    )
    monkeypatch.setattr(decoder_process, "_START", start)
    with pytest.raises(MediaError, match=r"isolation on this system \(no list of system calls for vax.*isolation ="):
        isolated_file(clip)


Answer = dict[str, object]


class Impostor(Decoder):
    """A decoder taken over by its file: it says what it likes."""

    def __init__(self, said: list[bytes]) -> None:
        super().__init__(Job(kind="video", name="evil.mp4"), 0)
        self._own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._own.settimeout(1.0)
        self._process = subprocess.Popen(["sleep", "60"])
        for line in said:
            theirs.send(line)
        self._theirs = theirs

    def __enter__(self) -> Impostor:
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._theirs.close()


HELD = b'{"asks": "held", "how": "really"}'


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ([b"\xff\xfe"], "malformed message"),
        ([b"[]"], "malformed message"),
        ([b"{}"], "malformed message"),
        ([b'{"asks": 7}'], "malformed message"),
        ([b'{"asks": "room", "width": 1}'], "unexpected message 'room'"),
        ([b'{"asks": "end"}'], "unexpected message 'end'"),
        ([HELD, b'{"asks": "refuse", "why": "a\\nforged line"}'], "^a forged line$"),
        ([HELD, b'{"asks": "room"}'], "offers a picture without a size"),
        ([HELD, b'{"asks": "room", "width": -1, "height": 5}'], "offers a picture of -1x5"),
        ([HELD, b'{"asks": "room", "width": 16384, "height": 16384}'], "offers a picture of 16384x16384"),
        ([HELD, b'{"asks": "room", "width": 2, "height": 2, "layout": "x"}'], "of an unknown kind"),
        ([HELD], "gave nothing for 1 s"),
    ],
)
def test_what_a_decoder_says_is_not_believed(said: list[bytes], complaint: str) -> None:
    def listen(decoder: Decoder) -> None:
        for message in decoder.messages():
            decoder.receive(message)

    with Impostor(said) as decoder, pytest.raises(MediaError, match=complaint):
        listen(decoder)


def test_a_time_beyond_all_times_is_refused(tmp_path: Path) -> None:
    source = isolated_file(write_clip(tmp_path / "a.mp4", frames=1))
    for at_us in (10**30, "x", None):
        with pytest.raises(MediaError, match="must hold times of this age"):
            source._time_of(at_us)


def test_both_kinds_of_recording_report_alike(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=3)
    said: list[list[tuple[str, str]]] = []
    for source in (recording(clip), isolated_file(clip)):
        assert isinstance(source, FileSource | IsolatedFile)
        diary = Diary()
        list(source.watched(diary))
        said.append([(event.kind, event.detail) for event in diary.events])
    assert said[0] == said[1]
    assert isinstance(diary.events[0], CameraEvent)
    assert isinstance(diary.asked[0], datetime)
