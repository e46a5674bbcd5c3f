"""Opens the database that a URL names."""

from urllib.parse import urlsplit

from zegel_server.db.database import Database
from zegel_server.db.statement import Dialect
from zegel_server.neighbours.calls import NeighbourMetrics


async def open_database(url: str, *, pool_size: int = 10, metrics: NeighbourMetrics | None = None) -> Database:
    """Opens a database by its URL.

    Args:
        url: ``sqlite:///path/to/file`` or ``postgresql://user:password@host:port/name``.
        pool_size: The most connections to PostgreSQL.
        metrics: Where it is told how PostgreSQL does.

    Raises:
        ValueError: The URL has another scheme, or is malformed.
        Unavailable: The database does not answer.
    """
    if scheme_of(url) == "sqlite":
        from zegel_server.db.sqlite import SqliteDatabase  # noqa: PLC0415 - only the one in use is loaded

        return SqliteDatabase(sqlite_path(url))
    from zegel_server.db.postgresql import PostgresqlDatabase  # noqa: PLC0415 - only the one in use is loaded

    return await PostgresqlDatabase.connect(url, pool_size=pool_size, metrics=metrics)


def scheme_of(url: str) -> Dialect:
    """Which of the two databases a URL names.

    Args:
        url: As ``open_database`` takes it.

    Raises:
        ValueError: The URL has another scheme.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return "sqlite"
    if scheme in {"postgresql", "postgres"}:
        _check_server(url)
        return "postgresql"
    message = f"a database URL begins with sqlite:/// or postgresql://, not {scheme}://"
    raise ValueError(message)


def _check_server(url: str) -> None:
    """Refuses a URL that does not say where the server is. The message repeats nothing of it: it has a password."""
    try:
        _ = urlsplit(url).port  # read only now, and refused where it is no number up to 65535
        malformed = not url.isprintable() or " " in url
    except ValueError:
        malformed = True
    if malformed:
        message = (
            "the database URL is malformed: it is postgresql://user:password@host:port/name, with the characters "
            "@ : / ? # [ ] % and spaces percent-encoded in user and password"
        )
        raise ValueError(message)


def sqlite_path(url: str) -> str:
    """The file that a ``sqlite:///`` URL names, as SQLAlchemy reads it: three slashes and a relative or absolute path.

    Args:
        url: The URL.

    Raises:
        ValueError: It names no file.
    """
    path = url.removeprefix("sqlite:///")
    if path in {"", url, ":memory:"}:
        message = "a SQLite URL is sqlite:/// and the path of a file"
        raise ValueError(message)
    return path
