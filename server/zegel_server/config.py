"""Settings, from the environment (``ZEGEL_...``), overridden by the flags of ``zegel-server``."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

INSTALLATION: Final = "installation"
"""The operator's name for the installation's own key provider; rows have an empty name for it."""


class NotReady(Exception):  # noqa: N818 - it says what is missing, and is told as it is
    """The installation lacks something needed to start; the message says what to do."""


class Settings(BaseSettings):
    """All settings of an installation.

    Each field is read from the environment variable ``ZEGEL_`` and its name in capitals. The defaults need no other
    service: SQLite, local disk and local keys under ``data_dir``, and TLS with a development authority that is made
    there at the first start.
    """

    model_config = SettingsConfigDict(env_prefix="ZEGEL_", extra="forbid", frozen=True)

    data_dir: Annotated[Path, Field(description="Folder for all local data.")] = Path(".zegel")
    development: Annotated[
        bool, Field(description="Serve for development: with reflection, its own authority and an operator's key.")
    ] = False
    listen: Annotated[str, Field(description="Address to listen on; port 0 picks a free one.")] = "127.0.0.1:8443"
    metrics_listen: Annotated[str, Field(description="Address of the metrics; empty for none.")] = ""
    reflection: Annotated[bool | None, Field(description="Serve gRPC reflection; on in development.")] = None

    database_url: Annotated[SecretStr, Field(description="sqlite:///file or postgresql://user:password@host/name.")] = (
        SecretStr("")
    )
    database_pool: Annotated[int, Field(ge=1, le=200, description="Maximum number of connections to PostgreSQL.")] = 10
    blobs_url: Annotated[str, Field(description="file:///folder or s3://bucket/prefix.")] = ""
    root_keys_url: Annotated[SecretStr, Field(description="local:file, pkcs11:..., aws-kms:... or vault://...")] = (
        SecretStr("")
    )

    key_providers: Annotated[
        dict[str, SecretStr],
        Field(description='Key providers that tenants bring, as JSON: {"name": "URL as of root_keys_url", ...}.'),
    ] = {}
    key_max_age_s: Annotated[
        float,
        Field(ge=0, le=86_400, description="Seconds until an unavailable key provider of a tenant is tried again."),
    ] = 300

    tls_certificate: Annotated[Path | None, Field(description="Certificate chain, PEM; with tls_key.")] = None
    tls_key: Annotated[Path | None, Field(description="Key of the certificate, PEM.")] = None
    tls_client_authority: Annotated[
        Path | None, Field(description="Authority of client certificates, PEM; enables mutual TLS.")
    ] = None
    tls_names: Annotated[list[str], Field(description="Further host names in the development certificate.")] = []

    seal_certificate: Annotated[Path | None, Field(description="Chain of the organisation's seal, PEM.")] = None
    seal_key: Annotated[Path | None, Field(description="Key of the seal, PEM.")] = None
    seal_crls: Annotated[list[Path], Field(description="Revocation lists of the chain, DER or PEM.")] = []
    seal_ocsp: Annotated[
        str,
        Field(description="OCSP responder for the seal's certificate: its URL, or `named` for the one named there."),
    ] = ""
    seal_trust: Annotated[
        list[Path], Field(description="Roots of the seal, and chain and roots of the timestamps, PEM.")
    ] = []
    timestamp_url: Annotated[str, Field(description="RFC 3161 timestamp authority; empty in development.")] = ""

    log_origin: Annotated[
        str, Field(description="Name of the audit log, such as example.com/log; fixed at the first start.")
    ] = ""
    publish_log: Annotated[bool, Field(description="Keep the log's tiles as files under data_dir/log.")] = True

    witnesses: Annotated[
        list[str],
        Field(description="Witnesses of the log: for each of their keys the verifier key, a space, and the URL."),
    ] = []
    witnesses_needed: Annotated[
        int, Field(ge=0, description="How many witnesses must have cosigned a checkpoint before it is published.")
    ] = 0
    witness_wait: Annotated[
        float, Field(ge=0, le=300, description="Seconds that an attempt to seal waits for needed witnesses.")
    ] = 10
    identity_provider_origins: Annotated[
        list[str],
        Field(description="Origins (scheme, host, port) of identity providers that may be internal or without TLS."),
    ] = []

    limits: Annotated[bool, Field(description="Apply the budgets below, in each server process separately.")] = True
    session_calls: Annotated[float, Field(ge=0, description="Calls a second of a session or API key.")] = 1_000
    session_calls_at_a_time: Annotated[int, Field(ge=0, description="Calls at a time of a session.")] = 500
    session_bytes: Annotated[float, Field(ge=0, description="Bytes of messages a second of a session.")] = 2**28
    tenant_calls: Annotated[float, Field(ge=0, description="Calls a second of a tenant.")] = 2_000
    tenant_calls_at_a_time: Annotated[int, Field(ge=0, description="Calls at a time of a tenant.")] = 1_000
    tenant_bytes: Annotated[float, Field(ge=0, description="Bytes of messages a second of a tenant.")] = 2**29
    wrong_tokens: Annotated[
        float,
        Field(ge=0, description="Unknown tokens a second of an address, 300 at once; more are refused with a delay."),
    ] = 1
    trusted_proxies: Annotated[
        list[IPvAnyNetwork],
        Field(description="Proxies (addresses or networks) that are trusted to report the client's address."),
    ] = []
    proxy_header: Annotated[
        Literal["x-forwarded-for", "forwarded"], Field(description="The header in which they report it.")
    ] = "x-forwarded-for"

    pdf_workers: Annotated[int, Field(ge=0, le=64, description="PDF jobs at a time; 0 for one on each core.")] = 0
    fonts_folder: Annotated[
        Path | None, Field(description="Folder of the Noto project's fonts, for scripts that no package has fonts for.")
    ] = None
    log_format: Annotated[Literal["json", "console"], Field(description="How log lines look.")] = "json"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Field(description="Least level told.")] = "info"

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        for one, other in (("tls_certificate", "tls_key"), ("seal_certificate", "seal_key")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                message = f"{one} and {other} go together"
                raise ValueError(message)
        if not self.development:
            for needed in ("tls_certificate", "seal_certificate"):
                if getattr(self, needed) is None:
                    message = (
                        f"ZEGEL_{needed.upper()} is needed, or --development: without it nobody could trust the answer"
                    )
                    raise ValueError(message)
            if not self.timestamp_url:
                message = "ZEGEL_TIMESTAMP_URL is needed, or --development: nothing is sealed without a trusted time"
                raise ValueError(message)
        return self

    @property
    def resolved_database_url(self) -> str:
        """The database's URL, with the default resolved."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.data_dir.resolve() / 'zegel.db'}"

    @property
    def resolved_blobs_url(self) -> str:
        """The blob store's URL, with the default resolved."""
        return self.blobs_url or f"file://{self.data_dir.resolve() / 'blobs'}"

    @property
    def resolved_root_keys_url(self) -> str:
        """The key provider's URL, with the default resolved."""
        return self.root_keys_url.get_secret_value() or f"local:{self.data_dir.resolve() / 'keys' / 'root.keyring'}"

    @property
    def serves_reflection(self) -> bool:
        """Whether gRPC reflection is served."""
        return self.development if self.reflection is None else self.reflection
