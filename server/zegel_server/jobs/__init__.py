"""Background jobs: work that is done after the change that asked for it has committed.

One durable queue in the database. A job is enqueued in the same transaction as the change that asks for it (a
transactional outbox), so it exists if and only if the change does. A domain registers the names of its kinds
(``kinds.register``), enqueues with ``queue.enqueue``, and gives the composition root a ``JobKind`` for each; a
``Worker`` in each server process runs the jobs that are due.

A job runs at least once, so every kind must be idempotent. If all its effects are in the database, calling
``queue.finish`` in the same transaction makes it run exactly once.
"""
