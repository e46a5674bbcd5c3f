"""Benchmarks. Each reports median ratios to a floor (a baseline) measured in the same run, in interleaved rounds."""

import sys
from pathlib import Path

# The temporary PostgreSQL server is that of the tests.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
