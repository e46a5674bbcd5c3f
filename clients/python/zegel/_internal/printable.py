"""Text from elsewhere, made fit to be shown."""


def printable(text: str) -> str:
    """Replaces what cannot be printed by ``U+FFFD``: control characters, and the bytes of a name that is not UTF-8.

    Args:
        text: The text.
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
