"""The sandbox: a small process that forks a confined child for each PDF job, and the server's side of it."""
