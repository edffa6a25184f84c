"""Recorders on one network list one another."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4


def names(recorder: Any) -> set[str]:
    return {one["name"] for one in recorder.http.get("/v1/peers").json()}


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_recorders_list_one_another_and_forget_those_that_ended(start_recorder: Callable[..., Any]) -> None:
    one, other = f"cart.{uuid4()}", f"roof {uuid4()}"
    cart = start_recorder("cart", peers={"enabled": True, "name": one})
    roof = start_recorder("roof", peers={"enabled": True, "name": other, "mode": "proxy"})
    wait_until(lambda: other in names(cart) and one in names(roof))
    assert one not in names(cart) and other not in names(roof)
    listed = next(peer for peer in cart.http.get("/v1/peers").json() if peer["name"] == other)
    assert listed["url"] == roof.url and listed["mode"] == "proxy"
    assert roof.terminate() == 0
    wait_until(lambda: other not in names(cart))


def test_nothing_is_announced_unless_asked(start_recorder: Callable[..., Any]) -> None:
    loud, listener, quiet = f"loud {uuid4()}", f"listener {uuid4()}", f"quiet {uuid4()}"
    hidden = start_recorder("quiet", peers={"name": quiet})
    start_recorder("loud", peers={"enabled": True, "name": loud})
    listening = start_recorder("listener", peers={"enabled": True, "name": listener})
    wait_until(lambda: loud in names(listening))
    assert quiet not in names(listening) and names(hidden) == set()


def test_a_proxy_shows_its_cameras_and_refuses_to_record(start_recorder: Callable[..., Any]) -> None:
    proxy = start_recorder(peers={"mode": "proxy"})
    assert [one["id"] for one in proxy.http.get("/v1/devices").json()] == ["cam1", "cam2"]
    assert proxy.http.get("/v1/devices/cam1/snapshot.jpg").status_code == 200
    refused = proxy.http.post("/v1/record", json={"camera_ids": ["cam1"]})
    assert refused.status_code == 403 and "peers.mode" in refused.json()["next_step"]
    assert proxy.http.get("/v1/status").json()["mode"] == "proxy"
