"""The contract that the demo signs by default: two pages, with room for two signatures at the end."""

from pathlib import Path
from typing import Final

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

TITLE: Final = "Bicycle lease agreement"

CLAUSES: Final = (
    ("Parties", "Sanne de Vries leases a cargo bicycle to Robin Jansen, who takes it on the terms below."),
    ("Term", "The lease begins on the day of the last signature and runs for twelve months."),
    ("Price", "Robin pays 45 euro a month, on the first working day, to the account that Sanne names."),
    ("Care", "Robin keeps the bicycle dry and locked, and has it serviced once in the term at Sanne's expense."),
    ("Damage", "Damage by wear is Sanne's, damage by use is Robin's; theft is shared if the lock was closed."),
    ("Return", "At the end the bicycle comes back as it was, less the wear of a year's riding."),
    ("Ending early", "Either may end the lease with a month's notice in writing."),
    ("Law", "Dutch law applies; the court of Utrecht decides what the two of them cannot."),
)

SPLIT: Final = 5
"""Number of clauses on the first page."""


def write_contract(path: Path) -> None:
    """Writes the contract.

    Args:
        path: The file to write.
    """
    styles = getSampleStyleSheet()
    story = [Paragraph(TITLE, styles["Title"]), Spacer(1, 18)]
    for number, (head, text) in enumerate(CLAUSES, start=1):
        if number == SPLIT + 1:
            story.append(PageBreak())
        story += [Paragraph(f"{number}. {head}", styles["Heading3"]), Paragraph(text, styles["BodyText"])]
    story += [Spacer(1, 24), Paragraph("Signed below by both, in the order of their names above.", styles["BodyText"])]
    SimpleDocTemplate(str(path), pagesize=A4, title=TITLE, author="Zegel demo", invariant=1).build(story)
