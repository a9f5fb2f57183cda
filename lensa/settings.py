"""Settings: arguments, then environment (LENSA_*), then `lensa.toml` in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lensa.errors import ConfigError, suggest

__all__ = ["Settings", "load_settings"]


class Settings(BaseSettings):
    """What stays the same from call to call."""

    model_config = SettingsConfigDict(
        env_prefix="LENSA_",
        env_nested_delimiter="__",
        toml_file="lensa.toml",
        extra="ignore",
        frozen=True,
    )

    home: Path = Path("~/.lensa")  # runs, avatars and the names of subjects
    backend: str = "local"
    base: str = "sd15"

    # backend="sagemaker"
    region: str | None = None  # None: as your AWS configuration has it
    profile: str | None = None
    role: str | None = None  # name or ARN; None: your own, where SageMaker may assume it
    scheduler_role: str | None = None  # that ends endpoints; None: `role`, which then has two uses
    bucket: str | None = None  # None: lensa-<account>-<region>
    prefix: str = Field(default="lensa", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}[A-Za-z0-9]$")
    kms_key: str | None = None  # None: S3's own keys
    poll_seconds: float = Field(default=5.0, gt=0, le=300)  # between two looks at a job
    sagemaker: dict[str, Any] = Field(default_factory=dict)  # defaults of a job's options
    deploy: dict[str, Any] = Field(default_factory=dict)  # defaults of an endpoint's options

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def home_path(self) -> Path:
        return self.home.expanduser().resolve()


def load_settings(**overrides: Any) -> Settings:
    """Return the settings; arguments that are None count as not given.

    Raises ConfigError if a value or `lensa.toml` cannot be read.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        for key in given:
            if key not in Settings.model_fields:
                raise ConfigError(f"unknown setting {key!r}.{suggest(key, Settings.model_fields)}")
        for key in _toml_keys(Path("lensa.toml")):
            if key not in Settings.model_fields:
                raise ConfigError(
                    f"lensa.toml: unknown setting {key!r}.{suggest(key, Settings.model_fields)}"
                )
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"setting {first['loc'][0]}: {first['msg']}.") from None


def _toml_keys(path: Path) -> tuple[str, ...]:
    import tomllib

    if not path.is_file():
        return ()
    try:
        return tuple(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}.") from None
