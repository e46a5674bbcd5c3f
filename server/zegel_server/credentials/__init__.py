"""What the organisation signs with: the seal's key, timestamps, and the development authority."""
