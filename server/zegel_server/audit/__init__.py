"""The audit trail: who did what, when, in a log that anybody can check and nobody can edit."""
