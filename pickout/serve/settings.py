"""What the owner of a server decides."""

from pathlib import Path

from pydantic import Field

from pickout.config import Settings, parse_settings, read_toml

SETTINGS = "settings.toml"


class ServeSettings(Settings):
    """The contents of `settings.toml` in a server's folder."""

    purposes: tuple[str, ...] = ("missing person", "incident", "own recordings", "research")
    """What a search may be made for; each request says one of these. `*`: any words. Empty: none is asked for."""
    policy: str = "default"
    """The file of rules on descriptions; `default`: the one in the package; `off`: none."""
    hosts: tuple[str, ...] = ()
    """Names by which the server is called besides those of this machine's loopback address."""
    folders: tuple[Path, ...] = ()
    """Folders below which crops, data sets and models may be read when a client names a path."""
    webhooks: tuple[str, ...] = ()
    """Addresses, as `https://host:port`, to which alarms may be sent."""
    largest_body: int = Field(default=2**20, ge=1024)
    """Bytes of a request without files."""
    largest_upload: int = Field(default=2**28, ge=1024)
    """Bytes of a request with files."""
    largest_file: int = Field(default=2**25, ge=1024)
    """Bytes of one picture."""
    most_files: int = Field(default=1000, ge=1)
    """Pictures in one request."""
    idle_seconds: float = Field(default=20.0, gt=0)
    """Longest pause in a request's body."""
    body_seconds: float = Field(default=300.0, gt=0)
    """Longest time for a request's body."""
    waiting: int = Field(default=256, ge=1)
    """Searches of one gallery that may wait; more are told to come back."""
    together: int = Field(default=16, ge=1)
    """Searches that are encoded and scored at once."""
    failures: int = Field(default=10, ge=1)
    """Wrong tokens from one address in a minute, after which it has to wait."""
    jobs: int = Field(default=8, ge=1)
    """Long jobs that may wait or run."""
    keep_minutes: float = Field(default=60.0, gt=0)
    """How often retention is enforced and heads of the audit are signed."""
    watch_seconds: float = Field(default=10.0, gt=0)
    """How often watches look for new crops."""
    compact_minutes: float = Field(default=30.0, gt=0)
    """How often the small pieces on disk that changes leave are merged."""


def read_settings(state: Path) -> ServeSettings:
    """The settings in a server's folder; the defaults where there are none.

    Raises:
        RecipeError: the file is wrong.
    """
    file = state / SETTINGS
    return parse_settings(ServeSettings, read_toml(file), source=str(file)) if file.exists() else ServeSettings()
