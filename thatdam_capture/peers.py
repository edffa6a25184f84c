"""Other recorders on the network, by mDNS: each announces itself and lists the rest."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from thatdam_capture.api.status import recorder_version
from thatdam_capture.events import EventLog
from thatdam_capture.settings import Settings

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

SERVICE = "_thatdam-capture._tcp.local."
ASK_MS = 3000
TEXT_LIMIT = 200


@dataclass(frozen=True)
class Peer:
    """A recorder that announced itself. What it says of itself is shown, never trusted."""

    name: str
    url: str
    mode: str
    version: str
    seen_utc: datetime


class Peers:
    """Announces this recorder where it listens, and keeps the list of the others."""

    def __init__(self, settings: Settings, port: int, events: EventLog) -> None:
        self._settings = settings
        self._port = port
        self._events = events
        self._found: dict[str, Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._own = ""

    def list(self) -> list[Peer]:
        return sorted(self._found.values(), key=lambda peer: (peer.name, peer.url))

    async def start(self) -> None:
        """Nothing where the settings do not enable peers. A network without multicast leaves the list empty."""
        if not self._settings.peers.enabled:
            return
        from zeroconf import InterfaceChoice
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        host = self._settings.listen.host
        everywhere = host in ("0.0.0.0", "::")
        try:
            self._zeroconf = AsyncZeroconf(interfaces=InterfaceChoice.All if everywhere else [_number(host)])
            info = self._info([] if everywhere else [_number(host)])
            self._own = info.name
            await self._zeroconf.async_register_service(info, allow_name_change=False)
        except OSError as error:
            self._events.publish("problem", message=f"peers cannot be looked for on {host}: {error.strerror}")
            return
        self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[self._changed])

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._zeroconf is not None:
            await self._zeroconf.async_unregister_all_services()
            await self._zeroconf.async_close()

    def _info(self, addresses: Sequence[str]) -> "AsyncServiceInfo":
        from zeroconf.asyncio import AsyncServiceInfo

        host = socket.gethostname()
        name = self._settings.peers.name or host
        found = list(addresses) or _own_addresses()
        # Several recorders may run on one host: the port keeps their names apart.
        label = f"{name[:40]} {self._port}".replace(".", "-")
        return AsyncServiceInfo(
            SERVICE,
            f"{label}.{SERVICE}",
            port=self._port,
            parsed_addresses=found,
            properties={"name": name, "mode": self._settings.peers.mode, "version": recorder_version()},
            server=f"{host.partition('.')[0]}-{self._port}.local.",
        )

    def _changed(self, zeroconf: "Zeroconf", service_type: str, name: str, state_change: "ServiceStateChange") -> None:
        from zeroconf import ServiceStateChange

        if name == self._own:
            return
        if state_change is ServiceStateChange.Removed:
            gone = self._found.pop(name, None)
            if gone is not None:
                self._events.publish("peer.gone", name=gone.name, url=gone.url)
            return
        task = asyncio.create_task(self._ask(zeroconf, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, zeroconf: "Zeroconf", name: str) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(SERVICE, name)
        if not await info.async_request(zeroconf, ASK_MS) or not info.parsed_addresses():
            return
        address = info.parsed_addresses()[0]
        url = f"http://[{address}]:{info.port}" if ":" in address else f"http://{address}:{info.port}"
        text = {key: (value or "")[:TEXT_LIMIT] for key, value in info.decoded_properties.items()}
        peer = Peer(
            name=text.get("name") or name.removesuffix(f".{SERVICE}"),
            url=url,
            mode="proxy" if text.get("mode") == "proxy" else "recorder",
            version=text.get("version", ""),
            seen_utc=datetime.now(UTC),
        )
        if name not in self._found:
            self._events.publish("peer.found", name=peer.name, url=peer.url)
        self._found[name] = peer


def _number(host: str) -> str:
    """Address of a host as a number; mDNS interfaces are named so."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return socket.gethostbyname(host)


def _own_addresses() -> list[str]:
    import psutil

    return [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == socket.AF_INET and not ipaddress.ip_address(one.address).is_loopback
    ] or ["127.0.0.1"]
