"""The errors people see: each says what is wrong and what to do next."""


class CaptureError(Exception):
    """Something a person can act on.

    Args:
        message: What is wrong, with the thing it is about.
        next_step: What to do about it.
    """

    def __init__(self, message: str, next_step: str) -> None:
        self.message = message
        self.next_step = next_step
        super().__init__(f"{message}. {next_step}")


class SettingsError(CaptureError):
    """The settings file cannot work; the message begins with ``file:line``."""


class BadRequest(CaptureError):
    """A request asks for something that cannot be."""


class NotFound(CaptureError):
    """No camera, session or recording of that name."""


class NotAllowed(CaptureError):
    """The request may not be made by whoever makes it."""


class AlreadyRecording(CaptureError):
    """The camera is recording; one camera has one recording at a time."""


class DiskLow(CaptureError):
    """The store has less space than recordings must leave free."""


class StoreGone(CaptureError):
    """The store is not there, not writable, or another disk than expected."""


class SourceError(CaptureError):
    """A camera cannot be recorded as its settings ask."""


class SegmentError(CaptureError):
    """A segment cannot be read or is not what ffmpeg said it wrote."""
