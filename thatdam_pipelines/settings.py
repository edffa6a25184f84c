"""Every setting of the platform, once. Environment prefix THATDAM_; see docs/settings.md."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

IngestMode = Literal["copy", "move", "reference"]


def project_file(name: str) -> Path:
    """Path of a file that ships with the project (``dagster.yaml``, ``workspace.yaml``, ``sql``).

    In a checkout these stand at its top; an installed wheel carries them inside the package.
    """
    packaged = Path(__file__).parent / "_project" / name
    return packaged if packaged.exists() else Path(__file__).parents[1] / name


class WatchedFolder(BaseModel):
    """A folder whose files are ingested as they arrive."""

    path: Path = Field(description="The folder that is watched, with everything below it.")
    mode: IngestMode = Field("copy", description="copy keeps the source, move takes it, reference leaves it in place.")
    album: str | None = Field(None, description="Album given to everything that arrives here.")
    category: str | None = Field(None, description="Category given to everything that arrives here: edit, digital, ...")
    settle_seconds: float = Field(5.0, ge=0, description="Seconds a file must be unchanged before it is taken.")


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

    event_log_days: float = Field(30.0, gt=0, description="Days the logs of runs are kept. What was made is kept.")

    host: str = Field("127.0.0.1", description="Address servers bind to.")
    dagster_port: int = Field(3000, description="Port of the Dagster UI.")
    web_port: int = Field(8080, description="Port that serves posters and proxies.")
    chroma_port: int = Field(8001, description="Port of the vector server that `thatdam up` runs.")

    @field_validator("home", "incoming", "tables", "vectors", "text", "catalog", "dagster_home", "vocabulary")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

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
    def dagster_dir(self) -> Path:
        return self.dagster_home or self.home / "dagster"

    @property
    def watched_folders(self) -> list[WatchedFolder]:
        """Every watched folder: home/incoming first, then those of ``watched``."""
        incoming = WatchedFolder(path=self.incoming_dir, mode=self.incoming_mode, settle_seconds=self.settle_seconds)
        return [incoming, *self.watched]


@cache
def get_settings() -> Settings:
    """The settings of this process, read once from the environment and ``.env``."""
    return Settings()
