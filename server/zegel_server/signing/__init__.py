"""Signature requests: sent, opened, filled in, signed in turn, and sealed."""
