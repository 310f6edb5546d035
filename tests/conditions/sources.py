"""Where each condition comes from: a public report whose kind it is, or the part of a standard that demands it."""

from __future__ import annotations

from collections.abc import Sequence

# A part of a condition's name, and the repository and number of the report. The first that fits is its source.
Sources = Sequence[tuple[str, str]]

RECORDINGS: Sources = (
    ("the codec changes", "wacky6/hikaru#33"),
    ("a clock that begins again", "videojs/http-streaming#1426"),
    ("fragments of a recorder", "glubsy/livestream_saver#6"),
    ("in one transport stream", "google/ExoPlayer#2995"),
    ("a programme that was chosen", "mpv-player/mpv#10531"),
    ("put together", "glubsy/livestream_saver#6"),
    ("abut", "gpac/gpac#2456"),
    ("overlap", "video-dev/hls.js#1306"),
    ("two parts", "popcornmix/omxplayer#378"),
    ("three parts", "popcornmix/omxplayer#378"),
    ("leaps by an hour", "video-dev/hls.js#1306"),
    ("second of two files", "glubsy/livestream_saver#6"),
    ("trimmed", "xbmc/xbmc#3645"),
    ("below zero", "Kitware/dive#1300"),
    ("starts late", "mbunkus/mkvtoolnix#1170"),
    ("outlasts", "theophanemayaud/video-simili-duplicate-cleaner#28"),
    ("elementary stream of", "microsoft/FFmpegInterop#165"),
    ("look ahead", "FFMS/ffms2#3"),
    ("pauses", "Motion-Project/motion#511"),
    ("the same as", "Motion-Project/motion#511"),
    ("left out", "open-nvr/open-nvr#229"),
    ("cover picture", "UltraStar-Deluxe/USDX#902"),
    ("second stream", "mpv-player/mpv#17777"),
    ("a stream that was chosen", "mpv-player/mpv#17777"),
    ("that nobody tagged", "open-nvr/open-nvr#354"),
    ("pixels", "opencv/opencv#4921"),
    ("telephone", "opencv/opencv#26876"),
    ("sideways", "SuRGeoNix/Flyleaf#176"),
    ("made larger beforehand", "ponchio/untrunc#294"),
    ("without their last marker", "intel/libyami#801"),
    ("cut off", "anthwlock/untrunc#92"),
    ("fragment missing", "video-dev/hls.js#7811"),
    ("missing", "tsduck/tsduck#1027"),
    ("without some", "tsduck/tsduck#1027"),
    ("overwritten", "meta-pytorch/torchcodec#505"),
)

# By the names of tests. A part of a specification stands for what no report was found for.
CAMERAS: Sources = (
    ("over_each_transport", "blakeblackshear/frigate#3286"),
    ("what_is_wrong_with_a_camera", "bluenviron/mediamtx#926"),
    ("without_key_frames", "deepch/RTSPtoWSMP4f#63"),
    ("srt: ", "Haivision/srt#269"),
    ("redirect", "scottlamb/retina#93"),
    ("streams_are_on_another_host", "curl/curl#22920"),
    ("password_in_the_clear", "AlexxIT/go2rtc#1217"),
    ("unavailable_for_a_moment", "thirtythreeforty/neolink#128"),
    ("garbage", "Motion-Project/motion#966"),
    ("nonsense", "Motion-Project/motion#966"),
    ("closing_a_silent_camera", "PyAV-Org/PyAV#584"),
    ("closing_a_camera_that_froze", "nager/Nager.VideoStream#9"),
    ("over_tls", "tphakala/birdnet-go#2592"),
    ("over_https", "deepch/RTSPtoWeb#82"),
    ("in_its_own_manner", "janakj/py-mjpeg#2"),
    ("without_boundaries", "arendst/Tasmota#12376"),
    ("web_page", "RFC 9110, 8.3: what a server says of its content may be wrong"),
    ("single_pictures", "ONVIF Media Service, GetSnapshotUri (one picture, not a stream)"),
    ("jpeg", "opencv/opencv#27208"),
    ("hls", "RFC 8216, 6.3.3: segments are played at their own pace"),
    ("title", "ETSI EN 300 468, annex A: a title has one of many codings"),
    ("video_device", "V4L2 API, 1.1: a device may be absent, or not a camera"),
    ("device_and_no_camera", "V4L2 API, 1.1: a device may be absent, or not a camera"),
    ("kind_of_camera", "blakeblackshear/frigate#6222"),
    ("address_of_another_kind", "blakeblackshear/frigate#6222"),
)

PICTURES: Sources = (
    ("CMYK", "python-pillow/Pillow#6563"),
    ("HEIC", "matiasdelellis/facerecognition#348"),
    ("profile", "libvips/libvips#1283"),
    ("CIE Lab", "TIFF 6.0, section 23: CIE L*a*b* images"),
    ("YCbCr", "TIFF 6.0, section 21: YCbCr images"),
    ("palette", "PNG (ISO/IEC 15948), 6.1: colour types"),
    ("alpha", "PNG (ISO/IEC 15948), 6.1: colour types"),
    ("progressive", "ITU-T T.81, annex G: progressive coding"),
    ("JPEG XL", "nextcloud/recognize#1551"),
    ("JPEG 2000", "nextcloud/recognize#1551"),
    ("JPEG", "ISO/IEC 19794-5, 9: portraits are kept in JPEG"),
    ("GIF", "nextcloud/recognize#1551"),
    ("BMP", "nextcloud/recognize#1551"),
    ("TIFF", "TIFF 6.0, section 6: RGB full-colour images"),
    ("WebP", "RFC 9649: WebP image format"),
    ("AVIF", "AV1 Image File Format 1.1, 6: brands"),
    ("PPM", "Netpbm, ppm(5)"),
    *(
        (kind, "matiasdelellis/facerecognition#635")
        for kind in ("Photoshop", "PDF", "HTML", "SVG", "XML", "text", "ZIP", "Matroska", "a file that is none")
    ),
)

NAMES: Sources = (
    ("drawn_with_its_letters", "ageitgey/face_recognition#719"),
    ("without_any_font", "ageitgey/face_recognition#719"),
    ("font_that_is_no_font", "ageitgey/face_recognition#719"),
    ("letters_join", "python-pillow/Pillow#3081"),
    ("wider_than_its_place", "python-pillow/Pillow#3081"),
    ("any_script", "ageitgey/face_recognition#719"),
    ("does_no_harm", "sipeed/picoclaw#2377"),
    ("printable", "berthubert/trifecta#50"),
    ("message_is_one_line", "berthubert/trifecta#50"),
    ("markdown", "CommonMark 0.31, 2.4: what a backslash makes of a mark"),
)

# Of enrolment, by the names of tests.
ENROLMENT: Sources = (
    ("many_are_enrolled", "exadel-inc/CompreFace#1299"),
    ("table", "exadel-inc/CompreFace#1096"),
    ("folder", "exadel-inc/CompreFace#1096"),
    ("similar_entry", "ageitgey/face_recognition#509"),
)

COMMANDS: Sources = (
    ("is an input", "facebook/zstd#1422"),
    ("in the input", "facebook/zstd#1422"),
    ("names too", "tsduck/tsduck#1740"),
    ("a folder", "mjmlio/mjml#1775"),
    ("UTF-8", "chardet/chardet#278"),
    ("nobody_reads", "Backblaze/B2_Command_Line_Tool#1071"),
    ("ctrl_c", "Chia-Network/chia-blockchain#14389"),
    ("limit", "walmartlabs/lumbar#53"),
    ("little_memory", "walmartlabs/lumbar#53"),
    ("without_memory", "walmartlabs/lumbar#53"),
    *(
        (complaint, "GNU Coding Standards, 4.4: formatting error messages")
        for complaint in (
            "rehearsals are for recordings", "must be more than 0", "NAME=IMAGE", "Missing", "got the folder",
            "does not exist", "percentage", "lies between", "must not be blank", "is for photographs", "WIDTHxHEIGHT",
            "Did you mean", "one_line", "ends_so",
        )
    ),
    ("a_rehearsal_that", "facebook/zstd#1082"),
)  # fmt: skip


def source_of(name: str, sources: Sources) -> str | None:
    """The source of a condition; None where it has none."""
    return next((source for part, source in sources if part in name), None)
