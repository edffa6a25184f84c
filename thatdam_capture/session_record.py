"""What stands in ``.part/<session>/session.json``: all that is needed to commit a session whose recorder died."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from thatdam_capture.atomic import replace_text
from thatdam_capture.clock import ntp_synced, timecode
from thatdam_capture.manifest import CameraFacts, Manifest, ReasonEnd, segment_name
from thatdam_capture.segments import SegmentFacts, missing_frames

SESSION_FILE = "session.json"


class SessionRecord(BaseModel):
    """One run of one ffmpeg.

    Attributes:
        chain: Sessions of the same recording before this one, oldest first.
        zero_utc_s: UTC of the session's time 0 as far as it is known.
        pid_started: When the process of that pid began, as psutil tells it; another time is another process.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    session_id: str
    recorder: str
    camera: CameraFacts
    host: str
    group_id: str
    role: str | None
    chain: list[str]
    rate: str | None
    encoder: list[str]
    versions: dict[str, str]
    zero_utc_s: float | None = None
    clock_error_s: float = 0.0
    pid: int | None = None
    pid_started: float | None = None

    def write(self, folder: Path) -> None:
        replace_text(folder / SESSION_FILE, self.model_dump_json())

    def manifest(
        self,
        facts: SegmentFacts,
        *,
        index: int,
        size: int,
        blake3: str,
        start_s: float,
        zero_utc_s: float,
        clock_error_s: float,
        is_last: bool,
        complete: bool,
        reason_end: ReasonEnd,
        lost_before: int = 0,
        gap_before_s: float | None = None,
    ) -> Manifest:
        """Manifest of one segment.

        Args:
            start_s: Time of its first frame in the session.
            lost_before: Frames known to be missing between the segment before and this one.
        """
        rate = Fraction(self.rate) if self.rate else facts.rate
        start = datetime.fromtimestamp(zero_utc_s, UTC) + timedelta(seconds=start_s)
        dropped, duplicated = missing_frames(facts.times, Fraction(self.rate) if self.rate else None)
        return Manifest(
            camera=self.camera,
            host=self.host,
            session_id=self.session_id,
            group_id=self.group_id,
            role=self.role,
            segment_index=index,
            is_last=is_last,
            file=f"{segment_name(self.camera.id, start, self.session_id, index)}.mkv",
            bytes=size,
            blake3=blake3,
            start_utc=start,
            end_utc=start + timedelta(seconds=facts.duration_s),
            clock_error_s=round(clock_error_s, 4),
            ntp_synced=ntp_synced(),
            start_timecode=timecode(start, rate),
            frame_rate=f"{rate.numerator}/{rate.denominator}",
            frames=facts.frames,
            dropped=dropped + lost_before,
            duplicated=duplicated,
            duration_s=round(facts.duration_s, 6),
            video=facts.video,
            audio=facts.audio,
            complete=complete,
            gap_before_s=None if gap_before_s is None else round(gap_before_s, 4),
            reason_end=reason_end,
            encoder=self.encoder,
            versions=self.versions,
        )


def read_session_record(folder: Path) -> SessionRecord:
    """Raises OSError or ValueError when there is none that can be read."""
    return SessionRecord.model_validate_json((folder / SESSION_FILE).read_bytes())
