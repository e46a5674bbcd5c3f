"""Optional content frozen as the default configuration shows it on a screen (ISO 32000-1, 8.11).

What is hidden is removed; what is shown stays and can no longer be hidden.

Invariants:

* Afterwards content does not mention layers, so ``/OCProperties`` can be removed.
* Hidden content still affects the graphics state, as the standard requires: only what it paints is removed.
"""

import pikepdf

from zegel_server.pdf.geometry import word
from zegel_server.pdf.limits import MAX_FORM_DEPTH, MAX_OBJECTS
from zegel_server.pdf.pages.content import Instruction, instructions, operand_names
from zegel_server.pdf.refusal import Refusal, RefusedError

_PAINT_PATH = {b"S", b"s", b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"}
_PAINT_OTHER = {b"Do", b"sh", b"Tj", b"TJ", b"BI", b"EI"}

_MAX_STEPS = 100_000
"""Parts of visibility expressions that are looked at: one that shares its parts grows with every level."""


class Visibility:
    """Which groups of a PDF's optional content its default configuration hides.

    Args:
        pdf: The PDF.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._hidden: set[tuple[int, int]] = set()
        self._met = False
        self._steps = 0
        properties = pdf.Root.get("/OCProperties")
        self.layered = isinstance(properties, pikepdf.Dictionary)
        if not isinstance(properties, pikepdf.Dictionary):
            return
        default = properties.get("/D")
        config = default if isinstance(default, pikepdf.Dictionary) else pikepdf.Dictionary()
        groups = _items(properties.get("/OCGs"))
        if config.get("/BaseState") == pikepdf.Name.OFF:
            self._hidden.update(group.objgen for group in groups)
            self._hidden.difference_update(group.objgen for group in _items(config.get("/ON")))
        self._hidden.update(group.objgen for group in _items(config.get("/OFF")))
        for usage in _items(config.get("/AS")):
            if usage.get("/Event") == pikepdf.Name.View:
                shown = [group.objgen for group in _items(usage.get("/OCGs")) if _state(group) == pikepdf.Name.ON]
                self._hidden.difference_update(shown)
        # PDFium and pdf.js, and so every browser, hide these with or without /AS.
        self._hidden.update(group.objgen for group in groups if _state(group) == pikepdf.Name.OFF)
        self._hidden.difference_update(group.objgen for group in groups if not _is_for_viewing(group))

    @property
    def hides(self) -> bool:
        """Whether any of the content asked about so far is hidden."""
        return bool(self._hidden) or self._met

    def hidden(self, content: pikepdf.Object | None) -> bool:
        """Tell whether what belongs to a group or membership is hidden.

        Args:
            content: An optional content group or membership dictionary.
        """
        found = self.layered and isinstance(content, pikepdf.Dictionary) and not self._shown(content)
        self._met = self._met or found
        return found

    def _shown(self, content: pikepdf.Object) -> bool:
        if content.get("/Type") != pikepdf.Name.OCMD:
            return content.objgen not in self._hidden
        expression = content.get("/VE")
        if isinstance(expression, pikepdf.Array):
            return self._holds(expression, 0)
        states = [group.objgen not in self._hidden for group in _items(content.get("/OCGs"))]
        policy = word(content.get("/P"))
        shown = {"/AllOn": all(states), "/AnyOff": not all(states), "/AllOff": not any(states)}
        return not states or shown.get(policy, any(states))

    def _holds(self, expression: pikepdf.Object, depth: int) -> bool:
        self._steps += 1
        if depth > MAX_FORM_DEPTH or self._steps > _MAX_STEPS:
            raise RefusedError(Refusal.NESTED)
        if isinstance(expression, pikepdf.Dictionary):
            return expression.objgen not in self._hidden
        if not isinstance(expression, pikepdf.Array) or not len(expression):
            return True
        operator, *operands = expression.as_list()
        values = [self._holds(operand, depth + 1) for operand in operands]
        if operator == pikepdf.Name.Not:
            return not all(values)
        return any(values) if operator == pikepdf.Name.Or else all(values)


def frozen(data: bytes, hidden: frozenset[str]) -> bytes:
    """Content without its layers: without what hidden ones paint, and without the marks of all of them.

    Args:
        data: Decoded content.
        hidden: Names of the resources' properties that are hidden layers.
    """
    scopes: list[tuple[bool, bool]] = []  # whether it is a layer, and whether it or one around it is hidden
    pieces: list[bytes] = []
    kept_until = 0
    for item in instructions(data):
        instead = _instead(data, item, scopes, hidden)
        if instead is not None:
            pieces += [data[kept_until : item.start], instead]
            kept_until = item.end
    return b"".join([*pieces, data[kept_until:]])


def _instead(data: bytes, item: Instruction, scopes: list[tuple[bool, bool]], hidden: frozenset[str]) -> bytes | None:
    """The replacement of an instruction; ``None`` if it stays."""
    operator = item.operator
    concealed = bool(scopes and scopes[-1][1])
    if operator in {b"BMC", b"BDC"}:
        tags = operand_names(data, item)
        # Viewers take the last operands, whatever stands before them.
        layer = operator == b"BDC" and "/OC" in (tags[:1] + tags[-2:-1])
        operands = data[item.start : item.at]
        named = layer and b"<<" not in operands[operands.rfind(b"/OC") :]
        scopes.append((layer, concealed or (named and tags[-1] in hidden)))
        return b" " if layer else None
    if operator == b"EMC" and scopes:
        return b" " if scopes.pop()[0] else None
    return _unpainted(data, item) if concealed else None


def _unpainted(data: bytes, item: Instruction) -> bytes | None:
    """What is left of an instruction that paints: its effect on the graphics state."""
    if item.operator in _PAINT_OTHER:
        return b" "
    if item.operator in _PAINT_PATH:
        return b" n"
    if item.operator == b"'":
        return b" T*"
    if item.operator == b'"':
        spaces = data[item.start : item.at].split(None, 2)
        return b" %s Tw %s Tc T*" % (spaces[0], spaces[1]) if len(spaces) > 2 else b" T*"  # noqa: PLR2004 - and a string
    return None


def _state(group: pikepdf.Object) -> pikepdf.Object | None:
    """What a group says about being viewed on a screen."""
    usage = group.get("/Usage")
    view = usage.get("/View") if isinstance(usage, pikepdf.Dictionary) else None
    return view.get("/ViewState") if isinstance(view, pikepdf.Dictionary) else None


def _is_for_viewing(group: pikepdf.Object) -> bool:
    """Whether viewing is among a group's intents; its state means nothing otherwise."""
    intent = group.get("/Intent", pikepdf.Name.View)
    names = intent.as_list() if isinstance(intent, pikepdf.Array) else [intent]
    return any(name in {pikepdf.Name.View, pikepdf.Name.All} for name in names) or not names


def _items(value: pikepdf.Object | None) -> list[pikepdf.Object]:
    """The dictionaries of an array, or a single one."""
    items = value.as_list()[:MAX_OBJECTS] if isinstance(value, pikepdf.Array) else [value]
    return [item for item in items if isinstance(item, pikepdf.Dictionary)]
