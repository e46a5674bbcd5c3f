"""Tenants, members, API keys and sessions."""
