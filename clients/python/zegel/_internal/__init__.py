"""What the client is made of. Nothing here is part of the SDK's interface."""
