"""A real RTSP server in a process of its own: python3 rtsp_server.py PORT USER PASSWORD [PATTERN].

It sends an H.264 test pattern at /camera, a ball unless another is named, to whoever logs in, and says "ready" when
it listens. It runs under the system's Python, which has the GObject bindings, and is killed or stopped from outside.
"""

import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

# A test pattern, a key frame a second. openh264 comes with gstreamer1.0-plugins-bad.
PIPELINE = (
    "( videotestsrc is-live=true pattern={pattern} ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
    "! openh264enc gop-size=25 ! h264parse config-interval=1 ! rtph264pay name=pay0 pt=96 )"
)


def main(port: str, user: str, password: str, pattern: str = "ball") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(pattern=pattern))
    factory.set_shared(True)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)  # noqa: FBT003
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)  # noqa: FBT003
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
