"""The sandbox: a small process that forks one confined child for each PDF job, and the server's side of it."""
