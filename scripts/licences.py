"""Checks that Zegel, under Apache-2.0, may be distributed together with everything it is installed with.

Each locked distribution's licence, as stated in its own metadata, must be on the allow list. Metadata states it in one
of three forms (an SPDX expression, a classifier, free text); the first one present counts, and the older forms are
translated.
"""

import argparse
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.utils import canonicalize_name

from lockfiles import DEV, RUNTIME, pins

ALLOWED = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CNRI-Python",  # permissive, OSI-approved; the regex package of the tests
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",  # applies file by file: no obligations for our code beside it
        "OFL-1.1",  # fonts: may be embedded in documents and distributed with software
        "PSF-2.0",
    }
)

LOOKED_UP = {
    # Distributions whose metadata names no licence: the one that a person found, and where.
    "cvttf-notosanscjk-regular": "OFL-1.1",  # the font's name table, entry 13; the package contains nothing else
}

TEXTS = (
    # Patterns for the older free-text fields and classifiers, most specific first.
    (r"apache", "Apache-2.0"),
    (r"mozilla public license 2|mpl.?2", "MPL-2.0"),
    (r"2-clause", "BSD-2-Clause"),
    (r"bsd", "BSD-3-Clause"),
    (r"\bisc\b", "ISC"),
    (r"python software foundation|psf", "PSF-2.0"),
    (r"ofl", "OFL-1.1"),
    (r"\bmit\b", "MIT"),
)

TOKEN = re.compile(r"[()]|[A-Za-z0-9.+-]+")


class Expression:
    """An SPDX licence expression, checked for whether it can be satisfied with the allowed licences alone.

    ``OR`` is a choice, ``AND`` requires both and binds tighter, and parentheses group (SPDX 2.3, annex D). ``WITH`` is
    not supported: a person has to look at an exception, so an expression that has one is not allowed.
    """

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.findall(text)
        self._at = 0

    def is_allowed(self) -> bool:
        """Returns whether the expression can be satisfied with licences on the allow list."""
        allowed = self._either()
        return allowed and self._at == len(self._tokens)

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _accept(self, token: str) -> bool:
        found = self._next().upper() == token
        self._at += found
        return found

    def _either(self) -> bool:
        allowed = self._both()
        while self._accept("OR"):
            allowed = self._both() or allowed
        return allowed

    def _both(self) -> bool:
        allowed = self._one()
        while self._accept("AND"):
            allowed = self._one() and allowed
        return allowed

    def _one(self) -> bool:
        if self._accept("("):
            return self._either() and self._accept(")")
        name = self._next()
        self._at += 1
        return name in ALLOWED


def _values(found: Distribution, key: str) -> list[str]:
    return [str(value) for value in found.metadata.get_all(key) or []]


def licence(found: Distribution) -> str:
    """Reads a distribution's licence from its metadata.

    Args:
        found: An installed distribution.

    Returns:
        An SPDX expression, or the text of the metadata if that could not be translated.
    """
    looked_up = LOOKED_UP.get(canonicalize_name(found.name))
    if looked_up:
        return looked_up
    expression = _values(found, "License-Expression")
    if expression:
        return expression[0]
    classifiers = [line for line in _values(found, "Classifier") if line.startswith("License")]
    # Free text sometimes is the whole licence; its first line names it.
    first_line = [text.strip().splitlines()[0] for text in _values(found, "License") if text.strip()]
    for text in (*first_line, *classifiers):
        for pattern, name in TEXTS:
            if re.search(pattern, text, re.IGNORECASE):
                return name
    return "; ".join((*first_line, *classifiers)) or "none named"


def main() -> int:
    """Runs the program.

    Returns:
        The exit code: 1 when a licence is not allowed or a distribution cannot be looked at.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print each distribution's licence")
    show = parser.parse_args().list
    found, refused = 0, 0
    for name in sorted({**pins(RUNTIME), **pins(DEV)}):
        try:
            text = licence(distribution(name))
        except PackageNotFoundError:
            text = "not installed; run `make lint`, which installs it"
        allowed = Expression(text).is_allowed()
        found, refused = found + 1, refused + (not allowed)
        if show or not allowed:
            print(
                f"{name}: {text}{'' if allowed else ' (not on the allow list)'}",
                file=sys.stdout if show else sys.stderr,
            )
    print(f"licences: {found} distributions, {refused} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
