"""Where the data that others made lies: real PDFs and test vectors, beside the project and never copied into it."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("ZEGEL_SHARED", Path(__file__).resolve().parents[3] / "shared"))
"""The folder with ``pdfs/`` and ``vectors/``; ``ZEGEL_SHARED`` names another."""
