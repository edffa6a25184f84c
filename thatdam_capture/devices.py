"""Cameras that can be recorded, from the settings and as they are plugged in and out."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from thatdam_capture.settings import CameraSettings, Settings
from thatdam_capture.v4l2 import Mode, NodeFacts, ask_node

RESCAN_S = 5.0
SETTLE_S = 0.1
LONGEST_ID = 63


@dataclass(frozen=True)
class Device:
    """A camera.

    Attributes:
        id: Stable over restarts, ports and numbers of nodes.
        path: Where it is now: a /dev node or a display. Network cameras show no address.
        online: Whether it is plugged in; network cameras count as online, recording shows whether they answer.
    """

    id: str
    name: str
    kind: str
    serial: str | None = None
    online: bool = True
    path: str | None = None
    modes: tuple[Mode, ...] = field(default=())


@dataclass(frozen=True)
class Node:
    """A V4L2 node as udev knows it."""

    path: str
    product: str
    serial: str | None
    id_path: str
    index: int
    says_capture: bool


class DeviceRegistry:
    """Every camera known: those of the settings and V4L2 cameras as they come and go.

    A V4L2 camera is known by its serial number where no other has the same, else by the port it is plugged into;
    never by the number of its node, which changes.
    """

    def __init__(self, settings: Settings, on_change: Callable[[Device], None]) -> None:
        self.settings = settings
        self.problem: str | None = None
        self._on_change = on_change
        self._devices: dict[str, Device] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._facts: dict[Node, NodeFacts] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stop_listening: Callable[[], None] = lambda: None
        for camera in settings.cameras:
            path = (camera.display or ":0.0") if camera.kind == "x11" else None
            online = camera.kind != "v4l2"
            self._devices[camera.id] = Device(camera.id, camera.name or camera.id, camera.kind, None, online, path)

    def all(self) -> list[Device]:
        return list(self._devices.values())

    def settings_of(self, device_id: str) -> CameraSettings | None:
        return next((camera for camera in self.settings.cameras if camera.id == device_id), None)

    def expect(self, device_id: str) -> Device | None:
        """A camera that was there once and may be plugged in again; none where cameras are not looked for."""
        if not self.settings.discover:
            return None
        return self._devices.setdefault(device_id, Device(device_id, device_id, "v4l2", online=False))

    async def start(self) -> None:
        """Look for cameras and go on looking."""
        if not (self.settings.discover or any(camera.kind == "v4l2" for camera in self.settings.cameras)):
            return
        try:
            self._stop_listening = listen(self._changed.set)
            await self._scan()
        except (ImportError, OSError) as error:
            self.problem = f"cameras cannot be found: libudev does not work here ({error})"
            return
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop looking."""
        self._stop_listening()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            # Where no word comes, as in a container without udev, looking again finds them all the same.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), RESCAN_S)
                await asyncio.sleep(SETTLE_S)
            self._changed.clear()
            with contextlib.suppress(OSError):
                await self._scan()

    async def _scan(self) -> None:
        found = await asyncio.to_thread(self._look)
        seen = {device.id: device for device in found}
        for device in self.all():
            if device.kind == "v4l2" and device.online and device.id not in seen:
                self._set(replace(device, online=False, path=None))
        for device in seen.values():
            self._set(device)

    def _set(self, device: Device) -> None:
        if self._devices.get(device.id) != device:
            self._devices[device.id] = device
            self._on_change(device)

    def _look(self) -> list[Device]:
        """Every capture node as a device. In a thread."""
        nodes = [node for node in list_nodes() if self._ask(node).captures]
        self._facts = {node: facts for node, facts in self._facts.items() if node in nodes or not facts.captures}
        serials = Counter((node.product, node.serial, node.index) for node in nodes)
        devices = []
        for node in sorted(nodes, key=lambda one: (one.id_path, one.index)):
            unique = node.serial if serials[node.product, node.serial, node.index] == 1 else None
            stable = self._stable_id(node, unique)
            chosen = next((one for one in self.settings.cameras if one.device in (stable, node.path)), None)
            if chosen is not None:
                devices.append(self._device(chosen.id, chosen.name or node.product, node))
            elif self.settings.discover:
                devices.append(self._device(stable, node.product, node))
        return devices

    def _device(self, device_id: str, name: str, node: Node) -> Device:
        return Device(device_id, name, "v4l2", node.serial, True, node.path, self._ask(node).modes)

    def _stable_id(self, node: Node, serial: str | None) -> str:
        """Id of a camera; one that had its id before a twin was plugged in keeps it."""
        by_path = ("path", f"{node.id_path}#{node.index}")
        key = ("serial", f"{node.product}#{serial}#{node.index}") if serial else by_path
        if not serial and node.serial:
            before = ("serial", f"{node.product}#{node.serial}#{node.index}")
            if before in self._ids and self._ids.get(("holder", self._ids[before])) == node.id_path:
                return self._ids[before]
        if key not in self._ids:
            self._ids[key] = stable_id(node.product, serial, node.id_path, node.index)
        self._ids["holder", self._ids[key]] = node.id_path
        return self._ids[key]

    def _ask(self, node: Node) -> NodeFacts:
        if node not in self._facts:
            try:
                self._facts[node] = ask_node(Path(node.path))
            except OSError:
                # Busy or not ours to open: udev's word stands, and it is asked again.
                return NodeFacts(node.says_capture, ())
        return self._facts[node]


def stable_id(product: str, serial: str | None, id_path: str, index: int) -> str:
    """Id from what does not change: product and serial, or product and port."""
    name = slug(product)[:24].strip("-") or "camera"
    tail = slug(serial or id_path) or "0"
    if index:
        tail += f"-{index}"
    return f"{name}-{tail[-(LONGEST_ID - len(name) - 1) :].strip('-')}"


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def list_nodes() -> list[Node]:
    """Every V4L2 node that udev knows.

    Raises:
        ImportError: there is no libudev.
    """
    import pyudev

    nodes = []
    for device in pyudev.Context().list_devices(subsystem="video4linux"):
        known = device.properties
        if device.device_node is None:
            continue
        name = device.attributes.get("name", b"")
        index = device.attributes.get("index", b"0").decode()
        product = known.get("ID_V4L_PRODUCT") or known.get("ID_MODEL") or name.decode(errors="replace") or "camera"
        nodes.append(
            Node(
                device.device_node,
                product.replace("_", " ").strip(),
                known.get("ID_SERIAL_SHORT") or None,
                known.get("ID_PATH") or device.sys_path,
                int(index) if index.isdigit() else 0,
                ":capture:" in known.get("ID_V4L_CAPABILITIES", ":capture:"),
            )
        )
    return nodes


def listen(tell: Callable[[], None]) -> Callable[[], None]:
    """Have the event loop call a function whenever a V4L2 node comes or goes; what is returned ends that."""
    import pyudev

    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by("video4linux")
    monitor.start()
    loop = asyncio.get_running_loop()

    def read() -> None:
        while monitor.poll(timeout=0) is not None:
            tell()

    loop.add_reader(monitor.fileno(), read)

    def stop() -> None:
        loop.remove_reader(monitor.fileno())

    return stop
