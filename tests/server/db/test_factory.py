"""A database's URL: what is malformed is refused in one sentence, which repeats nothing of it."""

import pytest

from zegel_server.db.factory import open_database, scheme_of


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret[x@127.0.0.1:1/zegel",
        "postgresql://u:secret@[::1/zegel",
        "postgresql://u:secret@127.0.0.1:99999/zegel",
        "postgresql://u:secret#a/b?@127.0.0.1:1/zegel",
        "postgresql://u:secret\n@127.0.0.1:1/zegel",
        "postgresql://u:secret @127.0.0.1:1/zegel",
        "postgres://u:secret\udcff@127.0.0.1:1/zegel",
    ],
)
async def test_a_malformed_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded") as refused:
        await open_database(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None


def test_other_schemes_are_named() -> None:
    for url in ("mysql://h/z", "nonsense", "[::1"):
        with pytest.raises(ValueError, match="begins with sqlite:/// or postgresql://"):
            scheme_of(url)


def test_the_two_databases_are_known_by_their_schemes() -> None:
    assert scheme_of("sqlite:////a/b[c.db") == "sqlite"
    for url in ("postgresql://u:p%5B%40@[::1]:5432/z", "postgres:///z?host=/tmp", "postgresql://h/z?sslmode=require"):
        assert scheme_of(url) == "postgresql"
