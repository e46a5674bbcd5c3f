"""Measured ratios: each against a floor taken in the same run, rounds interleaved, medians quoted."""

import sys
from pathlib import Path

# The throwaway PostgreSQL is the tests'.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
