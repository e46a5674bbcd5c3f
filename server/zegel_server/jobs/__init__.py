"""Later work: what is done after the change that asked for it has committed.

One durable queue in the database. A job is enqueued in the transaction of the change that it follows (a transactional
outbox), so that it exists if and only if the change does. A domain registers the names of its kinds
(``kinds.register``), enqueues with ``queue.enqueue``, and hands the composition root a ``JobKind`` for each; a
``Worker`` in each server process runs what is due.

A job runs at least once, so every kind is idempotent; where all that it does is in the database, ``queue.finish`` in
the same transaction makes it once.
"""
