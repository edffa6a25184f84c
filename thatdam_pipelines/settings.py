"""Every setting of the platform, once. Environment prefix THATDAM_; see docs/settings.md."""

from functools import cache
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

IngestMode = Literal["copy", "move", "reference"]
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Addresses that only this machine reaches."""


def project_file(name: str) -> Path:
    """Path of a file that ships with the project (``dagster.yaml``, ``workspace.yaml``, ``sql``, ...).

    In a checkout these stand at its top; an installed wheel carries them inside the package.
    """
    packaged = Path(__file__).parent / "_project" / name
    return packaged if packaged.exists() else Path(__file__).parents[1] / name


class WatchedFolder(BaseModel):
    """A folder whose files are ingested as they arrive."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="The folder that is watched, with everything below it.")
    mode: IngestMode = Field("copy", description="copy keeps the source, move takes it, reference leaves it in place.")
    album: str | None = Field(None, description="Album given to everything that arrives here.")
    category: str | None = Field(None, description="Category given to everything that arrives here: edit, digital, ...")
    settle_seconds: float = Field(5.0, ge=0, description="Seconds a file must be unchanged before it is taken.")

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


class Retention(BaseModel):
    """Which snapshots `thatdam backup prune` keeps: every one that any of these rules asks for."""

    model_config = ConfigDict(extra="forbid")

    keep_last: int = Field(7, ge=1, description="The newest snapshots, whatever their age.")
    keep_daily: int = Field(30, ge=0, description="The newest of each of so many days that have one.")
    keep_weekly: int = Field(12, ge=0, description="The newest of each of so many weeks that have one.")
    keep_monthly: int = Field(120, ge=0, description="The newest of each of so many months that have one.")


class BackupTarget(BaseModel):
    """A place that snapshots of the library are kept at."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="What it is called. Give a disk that takes the place of another a name of its own.",
    )
    url: str = Field(min_length=1, description="A folder, or any fsspec URL: file:///mnt/nas/thatdam, s3://bucket/x.")
    key_file: Path | None = Field(
        None, description="Encrypts all that is kept there with the key in this file (`thatdam backup key new`)."
    )
    every_days: int = Field(1, ge=1, description="Nights from one snapshot there to the next that the schedule takes.")
    retention: Retention = Field(default_factory=Retention, description="Which snapshots are kept; see below.")
    bandwidth_bytes_per_s: int | None = Field(None, ge=1, description="Most bytes written or read a second.")
    volume: str | None = Field(
        None, description="Volume it counts as, where two targets fail together. Default: its disk, or its server."
    )
    offsite: bool | None = Field(None, description="Whether it is in another building. Default: true unless a folder.")
    max_age_hours: float = Field(
        36.0,
        gt=0,
        description="Age of its newest snapshot above which a check fails. 24 more by default for each night between.",
    )
    price_per_tb_month: float | None = Field(None, ge=0, description="What a terabyte costs there in a month.")

    @field_validator("key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @model_validator(mode="after")
    def _older_where_it_is_seldom(self) -> Self:
        if "max_age_hours" not in self.model_fields_set:
            self.max_age_hours += 24 * (self.every_days - 1)
        return self


class WorkflowSchedule(BaseModel):
    """A workflow that is run again and again."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_]{1,60}$", description="What it is called; in Dagster workflow_<name>.")
    file: Path = Field(description="The workflow, which is read anew each time. Relative: of the home folder.")
    cron: str = Field(description="When: minute, hour, day of the month, month, day of the week.")
    timezone: str = Field("UTC", description="Time zone of cron, as Europe/Berlin.")
    variables: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="Values of the workflow's variables, by name."
    )
    running: bool = Field(True, description="Whether it runs until somebody switches it off in Dagster's UI.")

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        if len(value.split()) != 5:
            raise ValueError("a schedule has five fields, as in 30 3 * * *")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise ValueError(f"there is no time zone {value!r}") from error
        return value


class Settings(BaseSettings):
    """Settings of one installation. Each can be given as ``THATDAM_<NAME>`` in the environment or in ``.env``."""

    model_config = SettingsConfigDict(env_prefix="THATDAM_", env_file=".env", env_nested_delimiter="__", extra="ignore")

    home: Path = Field(Path("home"), description="The home folder; every other place is below it unless set itself.")
    incoming: Path | None = Field(None, description="The watched folder that is always there. Default: home/incoming.")
    media: str | None = Field(
        None, description="Where originals and derivatives are kept: a path or s3://bucket/prefix. Default: home/media."
    )
    tables: Path | None = Field(None, description="Parquet tables. Default: home/tables.")
    database: str | None = Field(None, description="SQLAlchemy URL of the ledger. Default: SQLite in home/library.db.")
    vectors: Path | None = Field(None, description="Chroma's folder. Default: home/vectors.")
    text: Path | None = Field(None, description="Full-text index. Default: home/text.db.")
    catalog: Path | None = Field(None, description="Published DuckDB catalogue. Default: home/catalog.duckdb.")
    dagster_home: Path | None = Field(None, description="Dagster's own storage. Default: home/dagster.")
    capture: Path | None = Field(
        None, description="Where the recorder commits, and where recordings are taken from. Default: home/capture."
    )

    workflows: Path | None = Field(
        None, description="Folder whose workflow files are run as they come. Default: home/workflows."
    )
    workflow_schedules: list[WorkflowSchedule] = Field(
        default_factory=list, description="Workflows that are run on a schedule, as a JSON list of objects."
    )

    s3_endpoint: str | None = Field(None, description="S3 endpoint URL, for MinIO and other S3 servers.")
    s3_key: str | None = Field(None, description="S3 access key id. Default: the usual AWS lookup.")
    s3_secret: str | None = Field(None, description="S3 secret access key.")

    watched: list[WatchedFolder] = Field(
        default_factory=list, description="Further watched folders, as a JSON list of objects."
    )
    incoming_mode: IngestMode = Field("move", description="Ingest mode of home/incoming.")
    settle_seconds: float = Field(5.0, ge=0, description="Settle time of home/incoming.")
    batch_max_files: int = Field(200, ge=1, description="Most files in a batch.")
    batch_max_bytes: int = Field(64 * 2**30, ge=1, description="Most bytes in a batch; one larger file is a batch.")
    batch_wait_seconds: float = Field(
        60.0, ge=0, description="Longest wait, after the last file settled, for others of its folder still arriving."
    )

    embedder: str = Field(
        "auto",
        description="auto, descriptor, or open_clip:<model>[@<weights>]; weights are a tag, hf-hub: name or file.",
    )
    open_clip_model: str = Field("ViT-B-16-SigLIP2", description="Model that auto serves where its weights can be had.")
    open_clip_pretrained: str = Field("webli", description="Weights of that model: tag, hub name or checkpoint file.")
    open_clip_config: Path | None = Field(None, description="Custom open_clip model configuration (JSON).")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where models run.")
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field("auto", description="Model precision.")
    vocabulary: Path | None = Field(
        None, description="Words that tags look for, one a line. Default: the list that ships with thatdam."
    )
    transcriber: str = Field(
        "auto", description="Who writes speech down: auto, moonshine, whisper:<model or folder>, or none."
    )
    embed_batch: int = Field(32, ge=1, description="Images embedded at once.")

    ffmpeg: str | None = Field(None, description="ffmpeg to use. Default: the one bundled with imageio-ffmpeg.")
    workers: int = Field(0, ge=0, description="Decoding processes. 0: one a core.")
    probe_timeout_s: float = Field(20.0, gt=0, description="Longest time one probe may take.")
    decode_timeout_s: float = Field(120.0, gt=0, description="Longest time reading frames of one file may take.")
    proxy_timeout_factor: float = Field(20.0, gt=0, description="A proxy may take this many times its duration.")
    proxy_timeout_min_s: float = Field(120.0, gt=0, description="A proxy may always take this long.")
    proxy_max_bytes: int = Field(8 * 2**30, ge=1, description="Largest file that making a proxy may write.")
    worker_memory_bytes: int = Field(4 * 2**30, ge=2**28, description="Address space a decode may use above its base.")
    image_max_pixels: int = Field(300_000_000, ge=1, description="Stills of more pixels are refused.")
    disk_reserve_bytes: int = Field(2 * 2**30, ge=0, description="Free space ingest leaves on the media disk.")

    backup_targets: list[BackupTarget] = Field(
        default_factory=list, description="Where snapshots are kept, as a JSON list of objects."
    )
    copies_required: int = Field(3, ge=1, description="Verified copies every original should have, itself included.")
    volumes_required: int = Field(2, ge=1, description="Distinct volumes these copies should be on.")
    offsite_required: int = Field(1, ge=0, description="How many of these copies should be in another building.")
    audit_days: float = Field(30.0, gt=0, description="Days in which the nightly audit re-reads all of every target.")
    drill_files: int = Field(20, ge=1, description="Files that a restore drill restores and compares.")

    free_tags: bool = Field(True, description="Tags that are not in the vocabulary may be given; they are added to it.")

    event_log_days: float = Field(30.0, gt=0, description="Days the logs of runs are kept. What was made is kept.")

    host: str = Field("127.0.0.1", description="Address servers bind to.")
    dagster_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI.")
    web_host: str | None = Field(
        None,
        description="Address of the web application; other than loopback it needs accounts or a token. Default: host.",
    )
    web_port: int = Field(8080, ge=1, le=65535, description="Port of the web application.")
    web_names: list[str] = Field(
        default_factory=list, description="Names, as a JSON list, that browsers reach the web application by elsewhere."
    )
    web_login: bool = Field(False, description="Ask for a login on loopback too, as behind a proxy on this machine.")
    web_folders: list[Path] = Field(
        default_factory=list,
        description="Folders, as a JSON list, below which watched folders may be added over the web.",
    )
    web_token: SecretStr | None = Field(
        None, min_length=16, description="Bearer token that programs may do everything with over the web application."
    )
    session_hours: float = Field(24.0, gt=0, description="Hours that a login lasts.")
    logins_per_minute: int = Field(
        5, ge=1, description="Most attempts a minute to log in from an address or to a name."
    )
    requests_per_minute: int = Field(
        6000, ge=1, description="Most requests a minute from one caller, where there is a login."
    )
    sql_seconds: float = Field(10.0, gt=0, description="Longest time a query over the web application may take.")
    sql_memory_bytes: int = Field(2 * 2**30, ge=2**28, description="Memory that such a query may take.")
    upload_max_bytes: int = Field(64 * 2**30, ge=1, description="Largest file that may be uploaded.")
    upload_days: float = Field(7.0, gt=0, description="Days that an upload which does not go on is kept.")
    chroma_port: int = Field(8001, ge=1, le=65535, description="Port of the vector server that `thatdam up` runs.")
    capture_port: int = Field(9000, ge=1, le=65535, description="Port of the recorder that `thatdam up` runs.")

    @field_validator(
        "home", "incoming", "tables", "vectors", "text", "catalog", "dagster_home", "capture", "vocabulary", "workflows"
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("backup_targets")
    @classmethod
    def _named_once(cls, value: list[BackupTarget]) -> list[BackupTarget]:
        names = [target.name for target in value]
        if twice := {name for name in names if names.count(name) > 1 or name == "library"}:
            raise ValueError(f"each target needs a name of its own, other than library: {sorted(twice)}")
        return value

    @field_validator("workflow_schedules")
    @classmethod
    def _scheduled_once(cls, value: list[WorkflowSchedule]) -> list[WorkflowSchedule]:
        names = [schedule.name for schedule in value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"each schedule needs a name of its own: {sorted(twice)}")
        return value

    @field_validator("home")
    @classmethod
    def _a_folder(cls, value: Path) -> Path:
        if value.exists() and not value.is_dir():
            raise ValueError(f"{value} is a file, not a folder")
        return value

    @property
    def incoming_dir(self) -> Path:
        return self.incoming or self.home / "incoming"

    @property
    def media_url(self) -> str:
        return self.media or str(self.home / "media")

    @property
    def tables_dir(self) -> Path:
        return self.tables or self.home / "tables"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'library.db'}"

    @property
    def vectors_dir(self) -> Path:
        return self.vectors or self.home / "vectors"

    @property
    def text_path(self) -> Path:
        return self.text or self.home / "text.db"

    @property
    def catalog_path(self) -> Path:
        return self.catalog or self.home / "catalog.duckdb"

    @property
    def quarantine_dir(self) -> Path:
        return self.home / "quarantine"

    @property
    def work_dir(self) -> Path:
        """Where unfinished work stands; whatever is in it when no run is going can be removed."""
        return self.home / "work"

    @property
    def vocabulary_dir(self) -> Path:
        """Vectors of the vocabularies that were looked for; whatever is in it is made again when it is missing."""
        return self.home / "vocabulary"

    @property
    def dagster_dir(self) -> Path:
        return self.dagster_home or self.home / "dagster"

    @property
    def backup_dir(self) -> Path:
        """What backups remember of the files they hashed; it is made again when it is missing."""
        return self.home / "backups"

    @property
    def capture_dir(self) -> Path:
        return self.capture or self.home / "capture"

    @property
    def workflows_dir(self) -> Path:
        return self.workflows or self.home / "workflows"

    @property
    def web_address(self) -> str:
        """Address that the web application binds to."""
        return self.web_host or self.host

    @property
    def uploads_dir(self) -> Path:
        """Where uploads grow: on the disk of the incoming folder, and hidden there, so that no scan takes a part."""
        return self.incoming_dir / ".uploads"

    @property
    def asks_login(self) -> bool:
        """Whether the web application answers only who proves who they are."""
        return self.web_login or self.web_address not in LOOPBACK

    def run_url(self, run_id: str) -> str:
        """Address of a run in the Dagster UI."""
        return f"http://{self.host}:{self.dagster_port}/runs/{run_id}"

    @property
    def watched_folders(self) -> list[WatchedFolder]:
        """Watched folders of the settings: home/incoming first. People add others; ``Library`` knows all of them."""
        incoming = WatchedFolder(path=self.incoming_dir, mode=self.incoming_mode, settle_seconds=self.settle_seconds)
        return [incoming, *self.watched]


@cache
def get_settings() -> Settings:
    """The settings of this process, read once from the environment and ``.env``."""
    return Settings()
