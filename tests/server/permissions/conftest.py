"""A real server of each kind, and tenants of the tests' own."""

from support.api_fixtures import api, on_postgresql, on_sqlite, other, server, tenant

__all__ = ["api", "on_postgresql", "on_sqlite", "other", "server", "tenant"]
