"""Every setting of the recorder: one YAML file, checked at start with errors that name the line."""

import ipaddress
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from thatdam_capture.errors import SettingsError

DEFAULT_FILE = Path("capture.yaml")
URL_SCHEMES = {"rtsp": ("rtsp", "rtsps"), "http": ("http", "https")}

CameraKind = Literal["v4l2", "rtsp", "http", "x11", "synthetic"]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
CameraId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Role = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Size = Annotated[str, Field(pattern=r"^[1-9]\d{1,4}x[1-9]\d{1,4}$")]


class Part(BaseModel):
    """A part of the settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AudioInput(Part):
    """Sound from another device than the camera's own."""

    kind: Literal["pulse", "alsa", "tone"] = Field(
        description="pulse and alsa record a device; tone is a test signal. alsa needs an ffmpeg built with it."
    )
    device: Name = Field("default", description="The device, as pulse or alsa call it.")


class CameraSettings(Part):
    """One camera, or how a camera that is found by itself is to be treated."""

    id: CameraId = Field(description="Stable id: folder name, name in the API.")
    name: Name | None = Field(None, description="What people call it. Default: the id.")
    kind: CameraKind
    url: SecretStr | None = Field(None, description="Address of an rtsp or http camera; may hold user and password.")
    device: Name | None = Field(None, description="v4l2: the stable id that `devices` shows, or a /dev path.")
    display: Name | None = Field(None, description="x11: the display. Default: :0.0.")
    profile: str | None = Field(None, description="Name of a profile. Default: `profile` of the settings.")
    audio: Literal["none", "source"] | AudioInput = Field(
        "source", description="source: the camera's own sound, if it has any; none; or another device."
    )
    role: Role | None = Field(None, description="Role in a group: hero, witness, ...")
    size: Size | None = Field(None, description="WIDTHxHEIGHT to ask the camera for.")
    rate: str | None = Field(None, description="Frames a second to ask for: 25, 29.97 or 30000/1001.")
    input_format: Literal["h264", "mjpeg", "raw"] | None = Field(None, description="v4l2: format to ask for.")

    @field_validator("rate", mode="before")
    @classmethod
    def _rate(cls, value: Any) -> Any:
        if value is None:
            return None
        rate = parse_rate(str(value))
        return str(rate)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "CameraSettings":
        schemes = URL_SCHEMES.get(self.kind)
        if schemes:
            if self.url is None:
                raise ValueError(f"a camera of kind {self.kind} needs a url")
            parts = urlsplit(self.url.get_secret_value())
            if parts.scheme not in schemes or not parts.hostname:
                raise ValueError(f"the url of a camera of kind {self.kind} begins with {' or '.join(schemes)}://host")
        elif self.url is not None:
            raise ValueError(f"a camera of kind {self.kind} has no url")
        if self.kind == "v4l2" and self.device is None:
            raise ValueError("a camera of kind v4l2 needs a device")
        return self


def parse_rate(text: str) -> Fraction:
    """A frame rate from ``25``, ``30000/1001`` or a decimal such as ``29.97`` (taken as the NTSC rate it stands for).

    Raises:
        ValueError: it is no number from 1 to 1000.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{text!r} is no frame rate: write 25, 29.97 or 30000/1001") from error
    if "." in text:
        ntsc = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
        rate = ntsc if abs(ntsc - rate) < Fraction(1, 100) and rate.denominator != 1 else rate.limit_denominator(1001)
    if not 1 <= rate <= 1000:
        raise ValueError(f"{text!r} is no frame rate: from 1 to 1000")
    return rate


class ProfileSettings(Part):
    """How a recording is encoded."""

    video: Literal["copy", "h264", "prores", "ffv1"] = Field(
        description="copy keeps what the camera sends where it sends H.264 or MJPEG, and is h264 where it sends raw."
    )
    audio: Literal["copy", "aac", "pcm", "flac", "none"] = "aac"
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        "superfast", description="h264: speed of the encoder."
    )
    crf: int = Field(18, ge=0, le=51, description="h264: constant quality, lower is better.")


PROFILES = {
    "copy": ProfileSettings(video="copy", audio="copy"),
    "h264": ProfileSettings(video="h264", audio="aac"),
    "prores": ProfileSettings(video="prores", audio="pcm"),
    "ffv1": ProfileSettings(video="ffv1", audio="flac"),
}


class Listen(Part):
    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs a token.")
    port: int = Field(9000, ge=0, le=65535)
    names: tuple[Name, ...] = Field((), description="Further host names that requests may be for, as behind a proxy.")

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class Limits(Part):
    max_cameras: int = Field(32, ge=1, le=1000, description="Most cameras recorded at once.")
    max_viewers: int = Field(64, ge=1, le=10_000, description="Most live streams served at once.")
    min_free_bytes: int = Field(2 * 2**30, ge=0, description="Recordings stop when the store has less free than this.")
    reserve_bytes: int = Field(
        64 * 2**20, ge=0, description="Size of the file kept so that trailers and manifests fit on a full disk."
    )
    min_segment_s: float = Field(10.0, ge=0.5, le=600, description="Shortest segment that may be asked for.")


class Preview(Part):
    height: int = Field(360, ge=90, le=2160, multiple_of=2)
    fps: float = Field(15.0, ge=1, le=60)
    quality: int = Field(5, ge=2, le=31, description="MJPEG quality; lower is better.")


class Peers(Part):
    enabled: bool = Field(False, description="Announce this recorder over mDNS and list the others.")
    name: Name | None = Field(None, description="Name shown to the others. Default: the host's name.")
    mode: Literal["recorder", "proxy"] = Field(
        "recorder", description="A proxy shows its cameras and refuses to record."
    )


class Timing(Part):
    """How long the recorder waits before it acts. The defaults suit real cameras."""

    start_timeout_s: float = Field(15.0, gt=0, description="A source that wrote nothing for so long is begun again.")
    stall_timeout_s: float = Field(5.0, gt=0, description="So long without growth of the file and it is begun again.")
    source_timeout_s: float = Field(5.0, gt=0, description="ffmpeg's own limit on a silent network camera.")
    backoff_min_s: float = Field(0.5, gt=0)
    backoff_max_s: float = Field(30.0, gt=0)
    backoff_reset_s: float = Field(30.0, gt=0, description="Good data for so long and the waits begin small again.")
    stop_step_s: float = Field(
        4.0, gt=0, le=5, description="After q, and again after SIGTERM, ffmpeg has so long before the next step."
    )


class WrongTogether(ValueError):
    """A value that cannot be beside others; ``where`` it is."""

    def __init__(self, message: str, *where: str | int) -> None:
        self.where = where
        super().__init__(message)


class Settings(Part):
    """Settings of one recorder."""

    store: Path = Field(
        default_factory=lambda: default_store(), validate_default=True, description="Where recordings go."
    )
    recorder: str = Field(
        "", pattern=r"^[a-z0-9-]{0,32}$", description="Name of this recorder, needed where several share one store."
    )
    store_marker: Name | None = Field(
        None, description="Text that `.marker` in the store must hold: proof that the right disk is mounted."
    )
    listen: Listen = Listen()
    token: SecretStr | None = Field(None, description="Bearer token. Needed when listening beyond this machine.")
    cameras: tuple[CameraSettings, ...] = ()
    discover: bool = Field(True, description="Record V4L2 cameras that are plugged in, without naming them here.")
    profiles: dict[str, ProfileSettings] = Field(default_factory=dict, description="Added to copy, h264, prores, ffv1.")
    profile: str = Field("h264", description="Profile of cameras that name none.")
    segment_s: float = Field(60.0, le=600, description="Length of segments in seconds.")
    limits: Limits = Limits()
    preview: Preview = Preview()
    timing: Timing = Timing()
    peers: Peers = Peers()
    ffmpeg: str | None = Field(None, description="ffmpeg (7 or newer) to use. Default: the bundled one.")

    @field_validator("store")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("token")
    @classmethod
    def _token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[\x21-\x7e]{8,512}", value.get_secret_value()):
            raise ValueError("a token is 8 to 512 visible ASCII characters")
        return value

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        ids = [camera.id for camera in self.cameras]
        for number, one in enumerate(ids):
            if one in ids[:number]:
                raise WrongTogether(f"two cameras of the same id {one}", "cameras", number, "id")
        named: list[tuple[str | None, tuple[str | int, ...]]] = [(self.profile, ("profile",))]
        named += [(camera.profile, ("cameras", number, "profile")) for number, camera in enumerate(self.cameras)]
        known = self.all_profiles
        for name, where in named:
            if name is not None and name not in known:
                raise WrongTogether(f"no profile {name!r}: there are {', '.join(sorted(known))}", *where)
        if self.segment_s < self.limits.min_segment_s:
            raise WrongTogether(f"segment_s is from {self.limits.min_segment_s:g} to 600", "segment_s")
        if not self.listen.is_loopback and self.token is None:
            host = self.listen.host
            raise WrongTogether(
                f"listening on {host} needs a token: set token or THATDAM_CAPTURE_TOKEN", "listen", "host"
            )
        return self

    @property
    def all_profiles(self) -> dict[str, ProfileSettings]:
        return PROFILES | self.profiles

    def listening(self, **changes: str | int) -> "Settings":
        """These settings with another host or port, checked again.

        Raises:
            SettingsError: they cannot work so.
        """
        data = {name: getattr(self, name) for name in self.model_fields_set}
        try:
            return type(self).model_validate(data | {"listen": self.listen.model_copy(update=changes)})
        except ValidationError as error:
            raise _explained(error, None, None) from None

    @classmethod
    def load(cls, path: Path | None = None) -> "Settings":
        """Settings of a file, with what the environment overrides.

        Args:
            path: YAML file. Default: ``capture.yaml`` here if there is one, else the defaults with a synthetic camera.

        Raises:
            SettingsError: the file cannot be read or a value cannot work; the message begins with ``file:line``.
        """
        if path is None and DEFAULT_FILE.exists():
            path = DEFAULT_FILE
        data: Any = {"cameras": [SYNTHETIC]}
        root: yaml.Node | None = None
        if path is not None:
            root, data = _read(path)
        for keys, value in _from_environment().items():
            _put(data, keys, value)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise _explained(error, path, root) from None


SYNTHETIC = {"id": "synthetic", "name": "Synthetic camera", "kind": "synthetic"}


def default_store() -> Path:
    """Where recordings go by default: ``capture`` in the home folder of the platform."""
    return Path(os.environ.get("THATDAM_HOME", "home")) / "capture"


def _from_environment() -> dict[tuple[str, ...], str]:
    names = {"STORE": ("store",), "HOST": ("listen", "host"), "PORT": ("listen", "port"), "TOKEN": ("token",)}
    values = {keys: os.environ.get(f"THATDAM_CAPTURE_{name}") for name, keys in names.items()}
    return {keys: value for keys, value in values.items() if value}


def _put(data: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    for key in keys[:-1]:
        data = data.setdefault(key, {})
        if not isinstance(data, dict):
            return
    data[keys[-1]] = value


def _read(path: Path) -> tuple[yaml.Node | None, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        root, data = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error})", "Give a YAML file that can be read") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "is no YAML"
        raise SettingsError(f"{path}:{line}: {problem}", "Correct that line") from None
    _refuse_doubles(path, root)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise SettingsError(f"{path}:1: settings are names with values", "Begin with a line such as `cameras:`")
    return root, data


def _refuse_doubles(path: Path, root: yaml.Node | None) -> None:
    """YAML lets the last of two equal names win, and a camera vanish without a word."""
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            names = set()
            for key, value in node.value:
                if key.value in names:
                    line = key.start_mark.line + 1
                    raise SettingsError(f"{path}:{line}: {key.value} is there twice", "Keep one of the two")
                names.add(key.value)
                nodes.append(value)


def _explained(error: ValidationError, path: Path | None, root: yaml.Node | None) -> SettingsError:
    """The first complaint that stands lowest in the file, with its line."""
    complaints = []
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"])
        message = one["msg"].removeprefix("Value error, ")
        cause = one.get("ctx", {}).get("error")
        place = cause.where if isinstance(cause, WrongTogether) else one["loc"]
        complaints.append((_line(root, place), f"{where}: {message}" if where else message))
    line, message = min(complaints)
    source = f"{path}:{line}" if path is not None else "settings"
    more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
    return SettingsError(f"{source}: {message}{more}", "Correct that value; docs/capture.md lists them all")


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """Line (from 1) of the value at a place in the settings, or of the nearest thing around it."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
