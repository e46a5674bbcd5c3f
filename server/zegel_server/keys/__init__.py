"""The rows of the key hierarchy: tenant keys, the keys of people, and what is encrypted under them."""
