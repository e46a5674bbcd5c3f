"""The changes to the audit log that the database itself refuses: a first line of defence, before any proof.

The database's owner can remove the triggers; then the log's own hashes show it (``zegel-server audit check``). They
protect against accidents, injected statements, and anyone with the server's rights who is not the owner.

Invariants:

* An event is changed once, when it enters the log, and then only in the columns for that; it is never deleted.
* A tile only grows, at its end; a trail and the log only get longer.
"""

from typing import Final

from zegel_server.db.schema import audit_events
from zegel_server.db.statement import Dialect

_INTEGRATED: Final = ("leaf_index", "leaf", "body")
"""The columns that change when an event enters the log."""

_DIFFERENT: Final[dict[Dialect, str]] = {"sqlite": "IS NOT", "postgresql": "IS DISTINCT FROM"}
"""How each dialect compares values that may be NULL."""

_TABLES: Final = ("audit_events", "audit_trails", "audit_log", "audit_tiles")


def _forbidden_updates(dialect: Dialect) -> dict[str, str]:
    """For each table, what an update must not do."""
    different = _DIFFERENT[dialect]
    return {
        "audit_events": "OLD.leaf_index IS NOT NULL OR NEW.leaf_index IS NULL OR NEW.leaf IS NULL OR NEW.body <> ''",
        "audit_trails": f"NEW.length <= OLD.length OR NEW.trail {different} OLD.trail",
        "audit_log": f"NEW.size < OLD.size OR NEW.log_id {different} OLD.log_id",
        "audit_tiles": f"NEW.level {different} OLD.level OR NEW.tile_index {different} OLD.tile_index"
        " OR length(NEW.hashes) <= length(OLD.hashes)"
        f" OR substr(NEW.hashes, 1, length(OLD.hashes)) {different} OLD.hashes",
    }


def _kept() -> str:
    """The columns of an event that nothing ever changes.

    Any UPDATE that lists one of them is refused, so that entering the log needs no comparison of their values.
    """
    return ", ".join(column.name for column in audit_events.columns if column.name not in _INTEGRATED)


def _sqlite() -> list[str]:
    # REPLACE fires the DELETE trigger only with ``recursive_triggers``, which the server's connections enable.
    refusal = "BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END"
    statements = []
    for table, forbidden in _forbidden_updates("sqlite").items():
        statements.append(f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {refusal}")
        statements.append(f"CREATE TRIGGER {table}_grows BEFORE UPDATE ON {table} WHEN {forbidden} {refusal}")
    statements.append(f"CREATE TRIGGER audit_events_fixed BEFORE UPDATE OF {_kept()} ON audit_events {refusal}")
    return statements


def _postgresql() -> list[str]:
    body = "$$ BEGIN RAISE EXCEPTION 'the audit log is only added to'; END $$"
    statements = [f"CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS {body}"]
    refusal = "EXECUTE FUNCTION audit_refuse()"
    for table, forbidden in _forbidden_updates("postgresql").items():
        statements += [
            f"CREATE TRIGGER {table}_kept BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT {refusal}",
            f"CREATE TRIGGER {table}_grows BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({forbidden}) {refusal}",
        ]
    statements.append(
        f"CREATE TRIGGER audit_events_fixed BEFORE UPDATE OF {_kept()} ON audit_events FOR EACH STATEMENT {refusal}"
    )
    # Not on SQLite, where this trigger would make each event 10 % more expensive.
    statements.append(
        "CREATE TRIGGER audit_events_added BEFORE INSERT ON audit_events FOR EACH ROW"
        f" WHEN (NEW.leaf_index IS NOT NULL OR NEW.leaf IS NOT NULL) {refusal}"
    )
    return statements


def immutability_triggers(dialect: Dialect) -> list[str]:
    """The statements that make the audit log's tables refuse edits; each is run once, after the tables exist.

    Args:
        dialect: The database's dialect.
    """
    return _sqlite() if dialect == "sqlite" else _postgresql()


def drop_triggers(dialect: Dialect) -> list[str]:
    """The statements that undo ``immutability_triggers``: for a migration that has to change these tables.

    Args:
        dialect: The database's dialect.
    """
    names = [(table, f"{table}_{what}") for table in _TABLES for what in ("kept", "grows")]
    names += [("audit_events", "audit_events_fixed"), ("audit_events", "audit_events_added")]
    if dialect == "sqlite":
        return [f"DROP TRIGGER IF EXISTS {name}" for _, name in names]
    return [f"DROP TRIGGER IF EXISTS {name} ON {table}" for table, name in names] + [
        "DROP FUNCTION IF EXISTS audit_refuse()"
    ]
