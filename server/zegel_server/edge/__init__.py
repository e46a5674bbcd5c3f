"""The edge: what every request passes through on its way to a servicer. It does not depend on any domain."""
