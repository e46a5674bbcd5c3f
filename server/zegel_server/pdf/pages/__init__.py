"""From an untrusted PDF to its rendition: what its pages show, and nothing else that the file holds."""
