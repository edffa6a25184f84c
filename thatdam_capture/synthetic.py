"""The synthetic camera: a test picture that carries its frame number and the wall clock, and a tone in step with it.

The top 16 lines hold two rows of 8x8 boxes, white for one, black for zero, lowest bit on the left: the frame number
(24 bits), and below it the UTC clock in 1/256 s (28 bits, wraps after about 12 days) as a Gray code, so that a clock
that ticks while the boxes are drawn is read a tick off at most. The tone sounds in the first tenth of every second of
the source's time, beginning with frame 0.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

BOX = 8
COUNTER_BITS = 24
CLOCK_BITS = 28
TICKS = 256
CLOCK_WRAP_S = 2**CLOCK_BITS // TICKS
TONE_HZ = 1000
TONE_S = 0.1
SAMPLE_RATE = 48_000


class Code(NamedTuple):
    """What a frame says of itself: its number, and the UTC clock in seconds modulo ``CLOCK_WRAP_S``."""

    counter: int
    clock_s: float


def synthetic_graph(width: int, height: int, rate: Fraction) -> str:
    """Filter graph of the camera: ``out0`` video in real time, ``out1`` mono sound."""
    ticks = f"floor(mod(time(0),{CLOCK_WRAP_S})*{TICKS})"
    boxes = [f"drawbox=x=0:y=0:w=iw:h={2 * BOX}:color=black:t=fill"]
    boxes += [_box(bit, 0, f"mod(floor(n/{2**bit}),2)") for bit in range(COUNTER_BITS)]
    boxes += [_box(bit, BOX, f"mod(floor(({ticks}+{2**bit})/{2 ** (bit + 1)}),2)") for bit in range(CLOCK_BITS)]
    video = [f"testsrc2=size={width}x{height}:rate={rate}", "format=yuv420p", "realtime", *boxes]
    tone = f"aevalsrc=exprs='0.5*sin(2*PI*{TONE_HZ}*t)*lt(mod(t,1),{TONE_S})':s={SAMPLE_RATE}"
    audio = [tone, "aformat=sample_fmts=s16", f"asetnsamples={SAMPLE_RATE // 100}", "arealtime"]
    return f"{','.join(video)}[out0];{','.join(audio)}[out1]"


def _box(column: int, y: int, on: str) -> str:
    return f"drawbox=x={column * BOX}:y={y}:w={BOX}:h={BOX}:color=white:t=fill:enable='{on}'"


def read_code(luma: Sequence[Sequence[int]]) -> Code:
    """The code in a decoded frame.

    Args:
        luma: Rows of brightness 0 to 255 at the size it was recorded in, such as a numpy array [height, width].
    """
    half = BOX // 2
    counter = sum(1 << bit for bit in range(COUNTER_BITS) if luma[half][bit * BOX + half] > 127)
    gray = sum(1 << bit for bit in range(CLOCK_BITS) if luma[BOX + half][bit * BOX + half] > 127)
    ticks = 0
    while gray:
        ticks ^= gray
        gray >>= 1
    return Code(counter, ticks / TICKS)


def clock_difference(code: Code, utc_s: float) -> float:
    """Seconds that a UTC time is after the clock in a frame."""
    difference = (utc_s - code.clock_s) % CLOCK_WRAP_S
    return difference - CLOCK_WRAP_S if difference > CLOCK_WRAP_S / 2 else difference
