"""The rows of the key hierarchy: tenant keys, the keys of persons, and what is encrypted under them."""
