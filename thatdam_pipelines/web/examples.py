"""What requests look like: an example of each parameter and of each body, for the API's own description."""

from typing import Any

_MEDIA_ID = "0f343b0931126a20f133d67c2b018a3b"
_UUID = "3f0c6a52-8a2b-4c8e-9d52-6f1f0e7a9b11"
_CHANGE = {"rating": 4, "add_tags": ["place/coast/beach"], "title": "Waves"}
_SYNC = {"root": "/srv/phone", "album": "Holiday", "category": "digital", "copy": True}
_WORKFLOW = {"workflow": [{"action": "search", "query": "red circle", "limit": 5}]}

PARAMETERS: dict[str, Any] = {
    "album": ["Summer 2026"],
    "batch": ["20261120T101500-1f2e3d4c"],
    "batch_id": "20261120T101500-1f2e3d4c",
    "camera": ["GoPro HERO12 Black"],
    "category": ["edit"],
    "codec": ["hevc"],
    "day": ["2026-11-20"],
    "dir": "/home/me/incoming/card",
    "folder": "DCIM/100GOPRO",
    "group": "card-1",
    "hdr": ["hlg"],
    "job_id": _UUID,
    "length": ["under 10 s"],
    "media_id": [_MEDIA_ID],
    "min_duration_s": 2.5,
    "name": "GX01",
    "path": "/home/me/incoming",
    "q": "red circle over a green field",
    "rating": [4, 5],
    "Range": "bytes=0-524287",
    "resolution": ["4k"],
    "set": ["album=Summer"],
    "shot_from": "2026-11-01",
    "shot_to": "2026-11-30",
    "state": ["approved"],
    "t": 12.5,
    "tag": ["place/coast"],
    "Tus-Resumable": "1.0.0",
    "type": "video",
    "upload_id": _MEDIA_ID,
    "Upload-Length": 1048576,
    "Upload-Metadata": "filename Y2xpcC5tb3Y=,group Y2FyZC0x",
    "Upload-Offset": 524288,
    "workflow_id": _MEDIA_ID,
}
"""By the name of the parameter; it is given where it fits the type that a path declares."""
BODIES: dict[str, Any] = {
    "/api/embedding/videos/ingest": {"path": "/home/me/incoming/clip.mov", "generate_levels": ["L0", "L1"]},
    "/api/v1/ingest": {"path": "/home/me/incoming/card"},
    "/api/v1/media": {"media_ids": [_MEDIA_ID], "change": _CHANGE},
    "/api/v1/media/{media_id}": _CHANGE,
    "/api/v1/media/retry": {"media_ids": [_MEDIA_ID]},
    "/api/v1/workflows": _WORKFLOW,
    "/api/v1/workflows/rehearse": _WORKFLOW,
    "/batches": {"name": "card", "paths": ["/home/me/incoming/card"]},
    "/dam/search": {"query": "red circle", "level": "scene", "limit": 5, "threshold": 0.2},
    "/explorer/{media_id}": _CHANGE,
    "/motion/extract": {"media_id": _MEDIA_ID},
    "/paths": {"path": "/srv/nas", "mode": "reference"},
    "/scan": {"directory": "/home/me/incoming/card"},
    "/search": {"q": "red circle", "limit": 5},
    "/sync_album": _SYNC,
}
"""By the path. Where the model of a body has an example of its own, that one is shown."""
