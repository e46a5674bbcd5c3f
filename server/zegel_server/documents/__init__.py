"""Documents: encrypted streams in and out, what is known of them, and their end."""
