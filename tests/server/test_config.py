"""Settings: the embedded defaults, what goes together, and what must not be told."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from zegel_server.config import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ZEGEL_{name.upper()}", raising=False)


def test_what_is_left_out_has_the_embedded_default(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, development=True)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path / 'zegel.db'}"
    assert settings.resolved_blobs_url == f"file://{tmp_path / 'blobs'}"
    assert settings.resolved_root_keys_url == f"local:{tmp_path / 'keys' / 'root.keyring'}"
    assert settings.serves_reflection


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZEGEL_DEVELOPMENT", "true")
    monkeypatch.setenv("ZEGEL_DATABASE_URL", "postgresql://zegel:hidden@db/zegel")
    monkeypatch.setenv("ZEGEL_REFLECTION", "false")
    settings = Settings(data_dir=tmp_path)
    assert settings.resolved_database_url == "postgresql://zegel:hidden@db/zegel"
    assert not settings.serves_reflection
    assert "hidden" not in f"{settings!r} {settings} {settings.model_dump()}"


PRODUCTION: dict[str, Any] = {
    "tls_certificate": "tls.pem",
    "tls_key": "tls.key",
    "seal_certificate": "seal.pem",
    "seal_key": "seal.key",
    "timestamp_url": "https://tsa.example.com",
}


def test_production_says_what_it_lacks() -> None:
    settings = Settings(**PRODUCTION)
    assert not settings.serves_reflection
    assert Settings(**PRODUCTION, reflection=True).serves_reflection
    for name in PRODUCTION:
        with pytest.raises(ValidationError):
            Settings(**{key: value for key, value in PRODUCTION.items() if key != name})


@pytest.mark.parametrize(
    "wrong",
    [
        {"database_pool": 0},
        {"pdf_workers": -1},
        {"log_format": "xml"},
        {"log_level": "loud"},
        {"unknown": 1},
        {"tls_key": "x"},
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(development=True, **wrong)


def test_settings_cannot_be_changed() -> None:
    settings = Settings(development=True)
    with pytest.raises(ValidationError):
        settings.development = False
    assert settings.database_url == SecretStr("")
