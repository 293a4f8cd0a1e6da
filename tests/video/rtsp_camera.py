"""A camera that answers as RFC 2326 says: H.264 in RTP packets (RFC 6184) within the RTSP connection."""

import re
import socketserver
import struct
import time
from fractions import Fraction

import av
from block_people import frame_at

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


def encoded(count=30, rate=10):
    """The units (NAL) of each frame; every frame stands for itself."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 160, 120, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, rate), Fraction(rate)
    codec.options = {"tune": "zerolatency", "g": "1"}
    frames = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(frame_at(1 + number / rate), format="rgb24")
        frame.pts = number
        data = b"".join(bytes(packet) for packet in codec.encode(frame))
        frames.append([unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.strip(b"\0")])
    return frames


class RtspCamera(socketserver.StreamRequestHandler):
    """Plays its frames and hangs up."""

    frames = ()
    connections = 0

    def handle(self):
        while lines := self._request():
            method, number = lines[0].split()[0], re.search(r"CSeq: *(\d+)", "\n".join(lines)).group(1)
            head, body = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 7\r\n", ""
            if method == "OPTIONS":
                head += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                head, body = f"{head}Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n", SDP
            elif method == "SETUP":
                head += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            self.wfile.write(f"{head}\r\n{body}".encode())
            if method == "PLAY":
                type(self).connections += 1
                self._play()
                return

    def _request(self):
        lines = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        return lines

    def _play(self):
        sequence = 0
        for number, units in enumerate(self.frames):
            for unit in units:
                last = unit is units[-1]
                packet = struct.pack("!BBHII", 0x80, 96 | last << 7, sequence, 9000 * number, 1) + unit
                self.wfile.write(b"$\0" + struct.pack("!H", len(packet)) + packet)
                sequence += 1
            time.sleep(0.05)


def rtsp_server():
    """A server on a free port of this machine, not yet running."""
    RtspCamera.frames, RtspCamera.connections = encoded(), 0
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), RtspCamera)
    server.daemon_threads = True
    return server
