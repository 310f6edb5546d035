"""A real RTSP server in a process of its own: python3 rtsp_server.py PORT USER PASSWORD [PATTERN [CERTIFICATE]].

It sends an H.264 test pattern at /camera, a ball unless another is named, to whoever logs in, and says "ready" when
it listens; with a certificate and its key in one PEM file it speaks TLS. /udp sends the same over UDP alone, /jpeg as
JPEG, /keyless with one key frame a minute, and /sound no picture at all; /film sends the Matroska file (H.264) that the
pattern then is. It runs under the system's Python, which has
the GObject bindings, and is killed or stopped from outside.
"""

import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

# A test pattern, a key frame a second. openh264 comes with gstreamer1.0-plugins-bad.
PICTURE = "videotestsrc is-live=true pattern={pattern} ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
H264 = "openh264enc gop-size={gop} ! h264parse config-interval=1 ! rtph264pay name=pay0 pt=96"
STREAMS = {
    "/camera": f"( {PICTURE} ! {H264.format(gop=25)} )",
    "/udp": f"( {PICTURE} ! {H264.format(gop=25)} )",
    "/keyless": f"( {PICTURE} ! {H264.format(gop=1500)} )",
    "/jpeg": f"( {PICTURE} ! jpegenc ! rtpjpegpay name=pay0 pt=26 )",
    "/film": f"( filesrc location={{pattern}} ! matroskademux ! {H264.partition('! ')[2]} )",
    "/sound": "( audiotestsrc is-live=true ! audio/x-raw,rate=8000 ! mulawenc ! rtppcmupay name=pay0 pt=0 )",
}


def main(port: str, user: str, password: str, pattern: str = "ball", certificate: str = "") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    for path, pipeline in STREAMS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline.format(pattern=pattern))
        factory.set_shared(True)
        if path == "/udp":
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)  # noqa: FBT003
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)  # noqa: FBT003
        factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
