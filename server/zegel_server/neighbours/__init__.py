"""Calls to other machines: how long they may take, how much they may answer, and what happens when they fail."""
