"""How ffmpeg opens each kind of camera."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import urlsplit, urlunsplit

from thatdam_capture.devices import Device
from thatdam_capture.errors import SourceError
from thatdam_capture.settings import AudioInput, CameraSettings, Timing, parse_rate
from thatdam_capture.synthetic import synthetic_graph
from thatdam_capture.v4l2 import Mode

# Nothing a network camera sends may make ffmpeg open a file or speak another protocol.
NETWORK_PROTOCOLS = "rtsp,rtsps,rtp,srtp,http,https,tcp,udp,tls,crypto,httpproxy"
INPUT = ("-thread_queue_size", "512")
COMPRESSED = {"H264": "h264", "MJPG": "mjpeg"}
MOST_PIXELS = 1920 * 1080
USUAL_RATE = 30


@dataclass(frozen=True)
class Source:
    """A camera as ffmpeg opens it.

    Attributes:
        inputs: Arguments of every input, ending with ``-i`` and its name. May hold credentials.
        audio: What to map for sound; none: no sound.
        compressed: The camera sends H.264 or MJPEG itself.
        rate: Frames a second that were asked for.
        shown: Pieces of the arguments and what is shown in their place: nothing of credentials, less of what is long.
    """

    inputs: tuple[str, ...]
    audio: str | None
    compressed: bool
    rate: Fraction | None
    shown: tuple[tuple[str, str], ...] = ()

    def redact(self, text: str) -> str:
        """A text without the credentials of this source."""
        for piece, instead in self.shown:
            text = text.replace(piece, instead)
        return without_credentials(text)


def without_credentials(text: str) -> str:
    """A text in which no URL has user, password or query."""
    text = re.sub(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@]*@", r"\1", text)
    return re.sub(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


def public_url(url: str) -> str:
    """Where a camera is, without the credentials."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))


def source_of(camera: CameraSettings, device: Device, timing: Timing) -> Source:
    """How to open a camera now.

    Raises:
        SourceError: it cannot be opened as its settings ask.
    """
    rate = parse_rate(camera.rate) if camera.rate else None
    shown: tuple[tuple[str, str], ...] = ()
    own_audio: str | None = None
    compressed = False
    inputs: tuple[str, ...]
    match camera.kind:
        case "synthetic":
            rate = rate or Fraction(30)
            width, height = _size(camera.size or "1280x720")
            if width < 224 or height < 32:
                raise SourceError(f"{camera.id}: a synthetic camera is at least 224x32", "Set a larger size")
            graph = synthetic_graph(width, height, rate)
            inputs = ("-f", "lavfi", *INPUT, "-i", graph)
            shown = ((graph, f"synthetic={width}x{height}@{rate}"),)
            own_audio = "0:a:0?"
        case "rtsp" | "http":
            url = camera.url.get_secret_value() if camera.url else ""
            inputs = (*_network(camera, timing), *INPUT, "-i", url)
            shown = tuple((secret, "***") for secret in _secrets(url))
            own_audio = "0:a:0?"
            compressed = True
        case "x11":
            rate = rate or Fraction(30)
            size = ("-video_size", camera.size) if camera.size else ()
            inputs = ("-f", "x11grab", "-framerate", str(rate), *size, *INPUT, "-i", camera.display or ":0.0")
        case "v4l2":
            inputs, compressed, rate = _v4l2(camera, device, rate)
    audio: str | None = None
    if isinstance(camera.audio, AudioInput):
        if camera.kind == "v4l2":
            inputs = ("-ts", "abs", *inputs)
        inputs += _audio_input(camera.audio, camera.kind)
        audio = "1:a:0"
    elif camera.audio == "source":
        audio = own_audio
    return Source(inputs, audio, compressed, rate, shown)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _network(camera: CameraSettings, timing: Timing) -> tuple[str, ...]:
    microseconds = str(int(timing.source_timeout_s * 1e6))
    common = ("-protocol_whitelist", NETWORK_PROTOCOLS)
    if camera.kind == "rtsp":
        # Over TCP: a lost UDP packet is a damaged picture. No frames are held up only to guess their rate.
        return (*common, "-rtsp_transport", "tcp", "-timeout", microseconds, "-fpsprobesize", "0")
    return (*common, "-rw_timeout", microseconds)


def _secrets(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    found = [parts.netloc.rpartition("@")[0], parts.password, parts.query]
    return tuple(sorted({one for one in found if one}, key=len, reverse=True))


def _audio_input(audio: AudioInput, kind: str) -> tuple[str, ...]:
    if audio.kind == "tone":
        return ("-f", "lavfi", *INPUT, "-i", "sine=frequency=1000:sample_rate=48000,arealtime")
    # Cameras and screens of this machine tell the time as sound devices do: by the wall clock. So they can be aligned.
    together = ("-isync", "0") if kind in ("v4l2", "x11") else ()
    return ("-f", audio.kind, *together, *INPUT, "-i", audio.device)


def _v4l2(
    camera: CameraSettings, device: Device, rate: Fraction | None
) -> tuple[tuple[str, ...], bool, Fraction | None]:
    if device.path is None:
        raise SourceError(f"{camera.id} is not plugged in", "Plug it in")
    mode = best_mode(device.modes, camera)
    form = camera.input_format or (COMPRESSED.get(mode.pixel_format, "raw") if mode else "raw")
    size = camera.size or (f"{mode.width}x{mode.height}" if mode else None)
    if rate is None and mode is not None and mode.rates:
        rate = Fraction(_fastest(mode))
    arguments: list[str] = ["-f", "v4l2"]
    if form != "raw":
        arguments += ["-input_format", form]
    if size:
        arguments += ["-video_size", size]
    if rate:
        arguments += ["-framerate", str(rate)]
    return (*arguments, *INPUT, "-i", device.path), form != "raw", rate


def best_mode(modes: Sequence[Mode], camera: CameraSettings) -> Mode | None:
    """The mode to ask a V4L2 camera for where its settings leave it open.

    The largest picture up to 1920x1080, of these the fastest up to 30 a second, of these what the camera compresses:
    raw pictures of two cameras fill a USB bus.
    """
    fitting = [
        mode
        for mode in modes
        if (camera.size is None or camera.size == f"{mode.width}x{mode.height}")
        and (camera.input_format is None or COMPRESSED.get(mode.pixel_format, "raw") == camera.input_format)
    ]
    if camera.size is None:
        fitting = [mode for mode in fitting if mode.width * mode.height <= MOST_PIXELS] or fitting
    ranks = ["H264", "MJPG"]
    return max(
        fitting,
        key=lambda mode: (
            mode.width * mode.height,
            _fastest(mode),
            -ranks.index(mode.pixel_format) if mode.pixel_format in ranks else -len(ranks),
        ),
        default=None,
    )


def _fastest(mode: Mode) -> Fraction:
    rates = [Fraction(rate) for rate in mode.rates]
    return max((rate for rate in rates if rate <= USUAL_RATE), default=min(rates, default=Fraction(0)))
