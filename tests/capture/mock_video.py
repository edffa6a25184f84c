"""Mock V4L2 cameras: run by the system's Python, which has the bindings of umockdev. Prints the testbed's folder.

Obeys lines on standard input: ``plug NODE PORT SERIAL INDEX KIND`` (KIND capture or metadata) and ``unplug NODE``.
"""

import struct
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

QUERYCAP = 0x80685600
ENUM_FMT = 0xC0405602
ENUM_FRAMESIZES = 0xC02C564A
ENUM_FRAMEINTERVALS = 0xC034564B
CAPTURE, METADATA, STREAMING, DEVICE_CAPS = 0x1, 0x00800000, 0x04000000, 0x80000000
FORMATS = [b"MJPG", b"YUYV"]
SIZES = [(640, 480), (1920, 1080)]
EINVAL = 22

testbed = UMockdev.Testbed.new()
attached = {}


def answer(request, data, capture):
    """New content of the argument of an ioctl, or none where it has no such entry."""
    if request == QUERYCAP:
        # The whole camera can capture; only device_caps says what this node does.
        own = (CAPTURE if capture else METADATA) | STREAMING
        whole = CAPTURE | METADATA | STREAMING | DEVICE_CAPS
        return struct.pack("16s32s32sIII12x", b"uvcvideo", b"HD Pro Webcam C920", b"usb", 1, whole, own)
    (index,) = struct.unpack_from("I", data)
    if request == ENUM_FMT and capture and index < len(FORMATS):
        kind = struct.unpack_from("I", data, 4)[0]
        return struct.pack("III32s4sI12x", index, kind, 0, b"", FORMATS[index], 0)
    if request == ENUM_FRAMESIZES and index < len(SIZES):
        return data[:8] + struct.pack("I2I16x8x", 1, *SIZES[index])
    if request == ENUM_FRAMEINTERVALS and index == 0:
        return data[:16] + struct.pack("I2I16x8x", 1, 1, 30)
    return None


def handle(client, capture):
    request = client.get_request()
    if request not in (QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS):
        return False
    size = request >> 16 & 0x3FFF
    argument = client.get_arg().resolve(0, size)
    content = answer(request, bytes(argument.retrieve()), capture)
    if content is None:
        client.complete(-1, EINVAL)
    else:
        argument.update(0, list(content))
        client.complete(0, 0)
    return True


def plug(node, port, serial, index, kind):
    place = f"/devices/pci0000:00/0000:00:14.0/usb1/1-{port}/1-{port}:1.0"
    lines = [
        f"P: {place}/video4linux/{node}",
        f"N: {node}",
        f"E: DEVNAME=/dev/{node}",
        "E: SUBSYSTEM=video4linux",
        f"E: ID_SERIAL_SHORT={serial}",
        f"E: ID_PATH=pci-0000:00:14.0-usb-0:{port}:1.0",
        "E: ID_V4L_PRODUCT=HD Pro Webcam C920",
        "E: ID_V4L_CAPABILITIES=:capture:",
        f"A: index={index}",
        "A: name=HD Pro Webcam C920",
    ]
    testbed.add_from_string("\n".join(lines) + "\n")
    handler = UMockdev.IoctlBase()
    handler.connect("handle-ioctl", lambda _, client: handle(client, kind == "capture"))
    testbed.attach_ioctl(f"/dev/{node}", handler)
    attached[node] = (f"/sys{place}/video4linux/{node}", handler)
    testbed.uevent(attached[node][0], "add")


def unplug(node):
    path, _ = attached.pop(node)
    testbed.detach_ioctl(f"/dev/{node}")
    testbed.uevent(path, "remove")
    testbed.remove_device(path)


sys.stdout.write(testbed.get_root_dir() + "\n")
sys.stdout.flush()
for line in sys.stdin:
    word, *rest = line.split()
    plug(*rest) if word == "plug" else unplug(*rest)
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
