"""The recorder's state as Prometheus reads it, looked up at each scrape."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from thatdam_capture.api.context import Context
from thatdam_capture.sessions import State

PREFIX = "thatdam_capture"


class RecorderCollector(Collector):
    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterable[Metric]:
        yield from self._cameras()
        service, disk = self._context.service, self._context.service.disk()
        health = service.health()
        yield GaugeMetricFamily(f"{PREFIX}_healthy", "1: every wanted camera records.", value=health.ok)
        yield GaugeMetricFamily(f"{PREFIX}_recordings_wanted", "Recordings asked for.", value=health.wanted)
        yield GaugeMetricFamily(f"{PREFIX}_recordings_running", "Cameras that record now.", value=health.recording)
        yield GaugeMetricFamily(f"{PREFIX}_store_free_bytes", "Free space of the store.", value=disk.free_bytes)
        yield GaugeMetricFamily(f"{PREFIX}_store_total_bytes", "Size of the store.", value=disk.total_bytes)
        yield GaugeMetricFamily(f"{PREFIX}_store_ok", "1: recordings may begin.", value=disk.ok)
        yield CounterMetricFamily(f"{PREFIX}_events", "Events so far.", value=service.events.seq)
        viewers = GaugeMetricFamily(f"{PREFIX}_viewers", "Live views served now.", labels=["kind"])
        for kind in ("mjpeg", "frames", "whep", "hls"):
            viewers.add_metric([kind], self._context.slots.count[kind])
        yield viewers

    def _cameras(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(f"{PREFIX}_camera_state", "1 for the state it is in.", labels=["camera", "state"])
        online = GaugeMetricFamily(f"{PREFIX}_camera_online", "1: plugged in.", labels=["camera"])
        rate = GaugeMetricFamily(f"{PREFIX}_frame_rate", "Frames a second written.", labels=["camera"])
        counters = {
            name: CounterMetricFamily(f"{PREFIX}_{name}", text, labels=["camera"])
            for name, text in {
                "frames": "Frames written by the running recording.",
                "dropped": "Frames the source did not deliver.",
                "duplicated": "Frames whose time is not later than the one before.",
                "bytes": "Bytes written by the running recording.",
                "restarts": "Breaks of the running recording.",
            }.items()
        }
        for device in self._context.service.devices():
            camera = self._context.service.camera(device.id)
            for one in State:
                state.add_metric([device.id, one.value], one == camera.state)
            online.add_metric([device.id], device.online)
            rate.add_metric([device.id], camera.stats.fps)
            for name, counter in counters.items():
                counter.add_metric([device.id], getattr(camera.stats, name))
        yield from (state, online, rate, *counters.values())


def registry_of(context: Context) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RecorderCollector(context))
    ProcessCollector(registry=registry)
    return registry
