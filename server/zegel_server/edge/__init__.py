"""The edge: what every request passes on its way to a servicer. It knows no domain."""
