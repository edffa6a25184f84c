"""The filters that make the proxy's picture of any original: upright, square pixels, progressive, SDR, at most 540p."""

from typing import Any

from thatdam_pipelines.media.original import Original

PROXY_SHORT_EDGE = 540
PROXY_LONG_EDGE = 1920
SCALER = "bilinear"
TICKS_PER_S = 90000
"""Time base of everything made from the picture: exact for the usual frame rates, within 6 us for others."""

# Both edges even, both limits kept, never larger than shown; ih and dar are those of the turned frame.
_SHOWN = f"min(1,min({PROXY_SHORT_EDGE}/min(ih*dar,ih),{PROXY_LONG_EDGE}/max(ih*dar,ih)))"
_WIDTH = f"max(2,2*trunc(ih*dar*{_SHOWN}/2+0.5-0.001))"
_HEIGHT = f"max(2,2*trunc(ih*{_SHOWN}/2+0.5-0.001))"

TONE_MAP = "mobius"
REFERENCE_NITS = 100
PEAK = 10
"""Highlights from about 30 nits up to 1,000 are rolled off; below, light is kept as it was graded."""


def proxy_picture(video: Any, original: Original) -> Any:
    """The ffmpeg-python stream of the proxy's picture.

    Args:
        video: The original's picture stream; ffmpeg has turned it upright.

    Returns:
        yuv420p, limited range, square pixels, tagged BT.709 where it was converted or untagged.
    """
    video = video.filter("settb", f"1/{TICKS_PER_S}")
    if original.is_interlaced:
        video = video.filter("bwdif", mode="send_frame", parity=original.interlace, deint="all")
    size = {"w": _WIDTH, "h": _HEIGHT, "flags": SCALER}
    if original.hdr_transfer is not None:
        return _tone_mapped(video, original.hdr_transfer, size).filter("setsar", 1)
    if original.assumed_matrix is not None:
        video = video.filter("setparams", colorspace=original.assumed_matrix)
    if original.is_wide_gamut:
        video = _tagged(video, "bt709").filter("scale", **size).filter("format", "yuv420p10")
        return (
            video.filter("zscale", p="bt709", t="bt709", m="bt709", r="tv")
            .filter("format", "yuv420p")
            .filter("setsar", 1)
        )
    if original.is_rgb:
        size["out_color_matrix"] = "bt709"
    video = video.filter("scale", **size, out_range="tv").filter("format", "yuv420p").filter("setsar", 1)
    if original.is_rgb:
        video = video.filter("setparams", colorspace="bt709", color_primaries="bt709", color_trc="iec61966-2-1")
    return video


def _tone_mapped(video: Any, transfer: str, size: dict[str, str]) -> Any:
    """Scaled first: tone mapping works in floating point and costs by the pixel."""
    video = _tagged(video, transfer).filter("scale", **size).filter("format", "yuv420p10")
    video = video.filter("zscale", t="linear", p="bt709", npl=REFERENCE_NITS).filter("format", "gbrpf32le")
    video = video.filter("tonemap", TONE_MAP, desat=0, peak=PEAK)
    return video.filter("zscale", t="bt709", m="bt709", r="tv").filter("format", "yuv420p")


def _tagged(video: Any, transfer: str) -> Any:
    return video.filter("setparams", color_primaries="bt2020", color_trc=transfer, colorspace="bt2020nc")
