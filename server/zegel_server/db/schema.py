"""The tables, as the newest migration leaves them.

Columns are text, integers and bytes only: both drivers return these unchanged. Times are microseconds since the epoch,
UTC. ``revision`` counts the changes of a row; its etag is made from it. Personal data is stored only in columns named
``profile``, ``personal`` or ``field_values``, encrypted under the subject's key. What else people type is stored only
in columns that are declared with ``typed_texts``, encrypted under the tenant key. Keys that are wrapped under a tenant
key are declared with ``wrapped_key``. Rotation finds both by that.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text

from zegel_server.db.typed_texts import typed_texts
from zegel_server.db.wrapped_keys import wrapped_key

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A number that both databases assign themselves; SQLite does so only for INTEGER primary keys.
_SEQUENCE: Final = BigInteger().with_variant(Integer, "sqlite")

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("pseudonym", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("policy_version", BigInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("sensitive", Text, nullable=False, server_default=""),  # permission=seconds, with a space between
)

# Tenants with their own key provider; the name refers to one of the settings.
own_key_providers = Table(
    "own_key_providers",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("key_provider", Text, nullable=False),
)

tenant_keys = Table(
    "tenant_keys",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("key_version", BigInteger, primary_key=True, autoincrement=False),
    Column("root_key_id", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("create_time", BigInteger, nullable=False),
)

subjects = Table(
    "subjects",
    metadata,
    Column("subject_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("email_index", LargeBinary, nullable=False),  # empty for the subject that stands for the tenant
    *wrapped_key("subject_id"),
    Column("create_time", BigInteger, nullable=False),
    Index("uq_subjects_tenant_id_email_index", "tenant_id", "email_index", unique=True),
)

members = Table(
    "members",
    metadata,
    Column("member_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("subject_id", Text, ForeignKey("subjects.subject_id"), nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("account", LargeBinary),  # keyed hash of the account at the identity provider; NULL until it has one
    Index("uq_members_tenant_id_subject_id", "tenant_id", "subject_id", unique=True),
    Index("uq_members_tenant_id_account", "tenant_id", "account", unique=True),
)

identity_providers = Table(
    "identity_providers",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("audiences", Text, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("email_trust", Text, nullable=False),  # which mail addresses in its tokens are believed
)

# ID tokens that have been exchanged, kept until they expire.
spent_id_tokens = Table(
    "spent_id_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("expire_time", BigInteger, nullable=False),
    Index("ix_spent_id_tokens_expire_time", "expire_time"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("api_key_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("subject_id", Text, nullable=False),
    *typed_texts("api_key", "api_key_id"),  # name
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("token_prefix", Text, nullable=False),
    Column("creator_id", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("revoke_time", BigInteger),
    Column("last_use_time", BigInteger),  # of the current token
    Column("permissions", Text, nullable=False, server_default=""),
    Column("rotate_time", BigInteger),
    Column("previous_expire_time", BigInteger),
    Column("previous_use_time", BigInteger),
    Index("ix_api_keys_tenant_id", "tenant_id", "api_key_id"),
)

# Tokens that rotation has replaced: valid until they expire, then reported as expired for a while.
retired_tokens = Table(
    "retired_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("api_key_id", Text, ForeignKey("api_keys.api_key_id"), nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Index("ix_retired_tokens_api_key_id", "api_key_id"),
    Index("ix_retired_tokens_expire_time", "expire_time"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("principal_id", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("signature_request_id", Text, nullable=False),
    Column("creator_id", Text, nullable=False),
    Column("api_key_id", Text, nullable=False),
    Column("certificate", LargeBinary),
    Column("permissions", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("idle_us", BigInteger, nullable=False),
    Column("last_use_time", BigInteger, nullable=False),
    Column("revoke_time", BigInteger),
    Column("auth_time", BigInteger, nullable=False, server_default="0"),
    Column("granter_id", Text, nullable=False, server_default=""),  # a signer's: who handed it out, or succeeded to it
    Column("request_owner_id", Text, nullable=False, server_default=""),
    Index("ix_sessions_tenant_id_principal_id", "tenant_id", "principal_id"),
    Index("ix_sessions_api_key_id", "api_key_id"),
)

signer_links = Table(
    "signer_links",
    metadata,
    Column("signer_link_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("signature_request_id", Text, nullable=False),
    Column("signature_id", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("trail", Text, nullable=False),  # the request's audit ID
    Column("creator_id", Text, nullable=False),
    Column("api_key_id", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("revoke_time", BigInteger),
    Column("spend_time", BigInteger),
    Column("session_id", Text, nullable=False),  # the session it was exchanged for; empty before
    Column("granter_id", Text, nullable=False, server_default=""),  # who handed it out, or succeeded to it
    Column("request_owner_id", Text, nullable=False, server_default=""),
    Index("ix_signer_links_api_key_id", "api_key_id"),
    Index("ix_signer_links_expire_time", "expire_time"),
    Index("ix_signer_links_signature_request_id", "signature_request_id", "signer_link_id"),
)

roles = Table(
    "roles",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("role", Text, primary_key=True),
    *typed_texts("role", "tenant_id", "role"),  # description
    Column("revision", BigInteger, nullable=False),
)

role_grants = Table(
    "role_grants",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("permission", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
)

role_parents = Table(
    "role_parents",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("parent", Text, primary_key=True),
)

bindings = Table(
    "bindings",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("principal_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("expire_time", BigInteger),
    Column("create_time", BigInteger, nullable=False),
    Column("creator_id", Text, nullable=False),
    Index("ix_bindings_tenant_id_role", "tenant_id", "role", "principal_id"),
)

teams = Table(
    "teams",
    metadata,
    Column("team_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    *typed_texts("team", "team_id"),  # name
    Column("create_time", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("ix_teams_tenant_id", "tenant_id", "team_id"),
)

team_members = Table(
    "team_members",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("team_id", Text, ForeignKey("teams.team_id"), primary_key=True),
    Column("principal_id", Text, primary_key=True),
    Column("expire_time", BigInteger),
    Column("create_time", BigInteger, nullable=False),
    Column("creator_id", Text, nullable=False),
    Index("ix_team_members_tenant_id_principal_id", "tenant_id", "principal_id"),
)

delegations = Table(
    "delegations",
    metadata,
    Column("delegation_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("delegator_id", Text, nullable=False),
    Column("delegate_id", Text, nullable=False),
    Column("permissions", Text, nullable=False),  # that it is narrowed to; "*" for no narrowing
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("creator_id", Text, nullable=False),
    Index("uq_delegations_tenant_id_delegator_id", "tenant_id", "delegator_id", "delegate_id", unique=True),
    Index("ix_delegations_tenant_id_delegate_id", "tenant_id", "delegate_id"),
)

documents = Table(
    "documents",
    metadata,
    Column("document_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("signature_request_id", Text, nullable=False),  # that it was sealed or merged for; empty for others
    *typed_texts("document", "document_id"),  # title
    Column("state", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Column("delete_time", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Column("merged", BigInteger, nullable=False, server_default="0"),  # 1 for the rendition of several documents
    Column("end_time", BigInteger),  # set only where it is purged
    Index("ix_documents_tenant_id", "tenant_id", "document_id"),
    Index("ix_documents_tenant_id_owner_id", "tenant_id", "owner_id", "document_id"),
)

document_versions = Table(
    "document_versions",
    metadata,
    Column("document_id", Text, ForeignKey("documents.document_id"), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", Text, nullable=False),
    Column("blob_prefix", Text, nullable=False, unique=True),
    Column("header", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("pages", Text, nullable=False),
    *wrapped_key("document_id", "version"),
    Column("create_time", BigInteger, nullable=False),
    # The rendition's stream, under the same DEK; all NULL if there is none. The prefix is the original's if the
    # two are one stream.
    Column("rendition_prefix", Text),
    Column("rendition_header", LargeBinary),
    Column("rendition_size", BigInteger),
    Column("rendition_sha256", LargeBinary),
    Column("findings", Text),  # JSON
    Index("uq_document_versions_rendition_prefix", "rendition_prefix", unique=True),
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("document_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    *typed_texts("document", "document_id"),  # title of a new document
    Column("media_type", Text, nullable=False),
    Column("declared_size", BigInteger, nullable=False),
    Column("declared_sha256", LargeBinary, nullable=False),
    Column("blob_prefix", Text, nullable=False, unique=True),
    Column("header", LargeBinary, nullable=False),
    Column("persisted_parts", BigInteger, nullable=False),
    Column("claim", LargeBinary, nullable=False),  # tags of the parts after those: their nonces are used up
    *wrapped_key("document_id", "version"),
    Column("state", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Index("ix_uploads_state_expire_time", "state", "expire_time"),
)

signature_requests = Table(
    "signature_requests",
    metadata,
    Column("signature_request_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.tenant_id"), nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("audit_id", Text, nullable=False, unique=True),
    *typed_texts("signature_request", "signature_request_id", columns=("texts", "fields")),  # title, message; fields
    Column("state", Text, nullable=False),
    Column("expire_time", BigInteger),
    Column("create_time", BigInteger, nullable=False),
    Column("all_signed_time", BigInteger),
    Column("seal_time", BigInteger),
    Column("sealed_document_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("rendition_document_id", Text, nullable=False, server_default=""),  # empty in older requests
    Column("rendition_version", BigInteger, nullable=False, server_default="0"),
    Column("rendition_sha256", LargeBinary),
    Column("rendition_size", BigInteger, nullable=False, server_default="0"),
    Column("rendition_pages", BigInteger, nullable=False, server_default="0"),
    Column("signers_keep_access", BigInteger, nullable=False, server_default="0"),  # 1 only where it is canceled
    Column("end_time", BigInteger),
    Column("time_zone", Text, nullable=False, server_default=""),  # an IANA name; empty in older requests
    Index("ix_signature_requests_tenant_id", "tenant_id", "signature_request_id"),
    Index("ix_signature_requests_tenant_id_owner_id", "tenant_id", "owner_id", "signature_request_id"),
    Index("ix_signature_requests_state_expire_time", "state", "expire_time"),
)

requested_documents = Table(
    "requested_documents",
    metadata,
    Column("signature_request_id", Text, ForeignKey("signature_requests.signature_request_id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("document_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("tenant_id", Text, nullable=False),
    *typed_texts("requested_document", "signature_request_id", "position"),  # its title, as the signers are shown it
    Column("sha256", LargeBinary, nullable=False),
    Column("page_count", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False, server_default="0"),
    Index("ix_requested_documents_document_id", "document_id"),
)

signatures = Table(
    "signatures",
    metadata,
    Column("signature_id", Text, primary_key=True),
    Column("signature_request_id", Text, ForeignKey("signature_requests.signature_request_id"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("signing_order", BigInteger, nullable=False),
    Column("subject_id", Text, ForeignKey("subjects.subject_id"), nullable=False),
    Column("profile", LargeBinary, nullable=False),
    Column("field_values", LargeBinary),
    Column("text_length", BigInteger, nullable=False, server_default="0"),  # characters to be stamped; marks by pixels
    Column("status", Text, nullable=False),
    Column("view_time", BigInteger),
    Column("disclosure_time", BigInteger),
    Column("sign_time", BigInteger),
    Column("decline_time", BigInteger),
    Column("time_zone", Text, nullable=False, server_default=""),  # of the days drawn for the signer, likewise
    Column("disclosure_version", BigInteger, nullable=False, server_default="0"),  # which the signer accepted; 0: none
    Index("uq_signatures_signature_request_id_position", "signature_request_id", "position", unique=True),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("event_number", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("tenant_id", Text, nullable=False),
    Column("signature_request_id", Text, nullable=False),
    Column("trail", Text, nullable=False),  # the request's audit ID; empty for events of accounts
    Column("event_type", BigInteger, nullable=False),
    Column("event_time", BigInteger, nullable=False),
    Column("principal_id", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("personal", LargeBinary),
    Column("body", Text, nullable=False),  # the leaf's draft; empty once the event is in the log
    Column("leaf_index", BigInteger),
    Column("leaf", LargeBinary),
)
# Only for events in the log: recording a new event then updates the queue's index alone.
for _name, _columns, _unique in (
    ("uq_audit_events_leaf_index", ("leaf_index",), True),
    ("ix_audit_events_tenant_id_leaf_index", ("tenant_id", "leaf_index"), False),
    ("ix_audit_events_trail_leaf_index", ("trail", "leaf_index"), False),
):
    Index(
        _name,
        *(audit_events.c[_column] for _column in _columns),
        unique=_unique,
        sqlite_where=audit_events.c.leaf_index.is_not(None),
        postgresql_where=audit_events.c.leaf_index.is_not(None),
    )
# The sequencer's queue: only events that are not yet in the log.
Index(
    "ix_audit_events_pending",
    audit_events.c.event_number,
    sqlite_where=audit_events.c.leaf_index.is_(None),
    postgresql_where=audit_events.c.leaf_index.is_(None),
)

audit_trails = Table(
    "audit_trails",
    metadata,
    Column("trail", Text, primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
)

# How many repeatable events a party has added to a trail.
audit_allowances = Table(
    "audit_allowances",
    metadata,
    Column("trail", Text, primary_key=True),
    Column("party", Text, primary_key=True),  # a signer's signature ID, or a kind of act of the sender's side
    Column("events", BigInteger, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
    Column("update_time", BigInteger, nullable=False),
)

audit_tiles = Table(
    "audit_tiles",
    metadata,
    Column("level", BigInteger, primary_key=True, autoincrement=False),
    Column("tile_index", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

audit_cosignatures = Table(
    "audit_cosignatures",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", Text, primary_key=True),  # name+hex(key id), the beginning of a verifier key
    Column("checkpoint", LargeBinary, nullable=False),  # what it cosigns, with only the log's own signature line
    Column("line", LargeBinary, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("principal_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),  # with the method's request before it: zegel.….CreateTeamRequest/…
    Column("request_hash", LargeBinary, nullable=False),
    *typed_texts("answer", "tenant_id", "principal_id", "request_id", columns=("response",)),
    Column("create_time", BigInteger, nullable=False),
    Index("ix_idempotency_create_time", "create_time"),
)

# Work that is done after the change that asked for it has committed; see jobs.
jobs = Table(
    "jobs",
    metadata,
    Column("job_id", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("payload", Text, nullable=False),  # JSON
    Column("order_key", Text),  # jobs of one kind and key run one at a time, in order
    Column("state", Text, nullable=False),  # see jobs.model.JobState
    Column("scheduled_time", BigInteger, nullable=False),  # when it was first due
    Column("due_time", BigInteger, nullable=False),  # when it is next due; while it runs, when its lease ends
    Column("fence", BigInteger),  # the lease's own number, while it runs
    Column("held_key", Text),  # order_key while it runs; unique, so that no other job with the key runs
    Column("attempts", BigInteger, nullable=False, server_default="0"),
    Column("last_reason", Text, nullable=False, server_default=""),
    Column("blocked", BigInteger, nullable=False, server_default="0"),  # 1 if waiting does not cure the reason
    Column("blocked_time", BigInteger),  # since when
    Index("ix_jobs_kind_state_due_time_job_id", "kind", "state", "due_time", "job_id"),
    # Whose is due; from one tenant to the next without a look at the jobs between.
    Index("ix_jobs_kind_state_tenant_id_due_time_job_id", "kind", "state", "tenant_id", "due_time", "job_id"),
    Index("ix_jobs_kind_state_blocked_scheduled_time", "kind", "state", "blocked", "scheduled_time"),  # for metrics
    Index("ix_jobs_kind_order_key_state_job_id", "kind", "order_key", "state", "job_id"),
    Index("ix_jobs_kind_resource_id", "kind", "resource_id"),
    Index("uq_jobs_kind_held_key", "kind", "held_key", unique=True),
    sqlite_autoincrement=True,  # numbers of ended jobs are not reused
)
