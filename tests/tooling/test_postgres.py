"""The throwaway PostgreSQL server: apart for each test, gone afterwards."""

import asyncpg
import pytest

from support import postgres


async def _count_tables(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
    finally:
        await connection.close()


@pytest.mark.parametrize("_", range(2))
async def test_each_test_has_an_empty_database(postgres_url: str, _: int) -> None:
    assert await _count_tables(postgres_url) == 0
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE seen (id int)")
    await connection.close()


async def test_a_template_is_prepared_once_and_copied(postgres_cluster: postgres.Cluster) -> None:
    prepared: list[str] = []
    for _ in range(2):
        template = postgres_cluster.template("tooling_template", prepared.append)
        name = postgres_cluster.create(template)
        assert await _count_tables(postgres_cluster.url(name)) == 0
        postgres_cluster.drop(name)
    assert prepared == [postgres_cluster.url("tooling_template")]


async def test_a_wrong_password_is_refused(postgres_cluster: postgres.Cluster) -> None:
    url = postgres_cluster.url().replace(postgres_cluster.password, "guess")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


def test_the_password_is_in_no_repr(postgres_cluster: postgres.Cluster) -> None:
    assert postgres_cluster.password not in repr(postgres_cluster)
