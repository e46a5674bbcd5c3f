"""Optional content frozen as the default configuration shows it (ISO 32000-1, 8.11).

What is hidden is taken out, what is shown stays and can no longer be hidden.

Invariants:

* Afterwards no content depends on ``/OCProperties``, so that they can go.
* Names of resources stay valid: a hidden picture becomes an empty one.
"""

import pikepdf

from zegel_server.pdf.limits import MAX_FORM_DEPTH

_PAINT_PATH = {"S", "s", "f", "F", "f*", "B", "B*", "b", "b*"}
_PAINT_OTHER = {"Do", "sh", "Tj", "TJ", "INLINE IMAGE"}


class Visibility:
    """Which groups of a PDF's optional content its default configuration hides.

    Args:
        pdf: The PDF.
    """

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._hidden: set[tuple[int, int]] = set()
        properties = pdf.Root.get("/OCProperties")
        if not isinstance(properties, pikepdf.Dictionary):
            return
        default = properties.get("/D")
        config = default if isinstance(default, pikepdf.Dictionary) else pikepdf.Dictionary()
        if config.get("/BaseState") == pikepdf.Name.OFF:
            self._hidden.update(group.objgen for group in _items(properties.get("/OCGs")))
            self._hidden.difference_update(group.objgen for group in _items(config.get("/ON")))
        self._hidden.update(group.objgen for group in _items(config.get("/OFF")))
        for usage in _items(config.get("/AS")):
            if usage.get("/Event") == pikepdf.Name.View:
                self._apply(usage)

    def _apply(self, usage: pikepdf.Object) -> None:
        """Groups whose state follows from their being viewed rather than printed."""
        for group in _items(usage.get("/OCGs")):
            view = group.get("/Usage", pikepdf.Dictionary()).get("/View", pikepdf.Dictionary())
            state = view.get("/ViewState") if isinstance(view, pikepdf.Dictionary) else None
            if state == pikepdf.Name.OFF:
                self._hidden.add(group.objgen)
            elif state == pikepdf.Name.ON:
                self._hidden.discard(group.objgen)

    @property
    def hides(self) -> bool:
        """Whether anything is hidden at all."""
        return bool(self._hidden)

    def hidden(self, content: pikepdf.Object | None) -> bool:
        """Tell whether what belongs to a group or membership is hidden.

        Args:
            content: An optional content group or membership dictionary.
        """
        if not isinstance(content, pikepdf.Dictionary) or not self._hidden:
            return False
        if content.get("/Type") != pikepdf.Name.OCMD:
            return content.objgen in self._hidden
        expression = content.get("/VE")
        if isinstance(expression, pikepdf.Array):
            return not self._holds(expression, 0)
        states = [group.objgen not in self._hidden for group in _items(content.get("/OCGs"))]
        if not states:
            return False
        policy = str(content.get("/P", "/AnyOn"))
        shown = {"/AllOn": all(states), "/AnyOff": not all(states), "/AllOff": not any(states)}
        return not shown.get(policy, any(states))

    def _holds(self, expression: pikepdf.Object, depth: int) -> bool:
        if depth > MAX_FORM_DEPTH:
            return True
        if isinstance(expression, pikepdf.Dictionary):
            return expression.objgen not in self._hidden
        if not isinstance(expression, pikepdf.Array) or not len(expression):
            return True
        operator, *operands = expression.as_list()
        values = [self._holds(operand, depth + 1) for operand in operands]
        if operator == pikepdf.Name.Not:
            return not all(values)
        return any(values) if operator == pikepdf.Name.Or else all(values)


def freeze(pdf: pikepdf.Pdf, visibility: Visibility) -> None:
    """Take hidden content out of a PDF's pages, forms and patterns.

    Args:
        pdf: The PDF; changed in place.
        visibility: What its configuration hides.
    """
    if not visibility.hides:
        return
    for page in pdf.pages:
        annotations = [item for item in _items(page.obj.get("/Annots")) if not visibility.hidden(item.get("/OC"))]
        if "/Annots" in page.obj:
            page.obj.Annots = pikepdf.Array(annotations)
        names = _hidden_names(page.obj.get("/Resources"), visibility)
        if names:
            page.obj.Contents = pdf.make_stream(_without(page, names))
    for item in pdf.objects:
        if isinstance(item, pikepdf.Stream):
            names = _hidden_names(item.get("/Resources"), visibility)
            if names:
                item.write(_without(item, names))
    for item in pdf.objects:
        if isinstance(item, pikepdf.Stream) and visibility.hidden(item.get("/OC")):
            _empty(item)


def _hidden_names(resources: pikepdf.Object | None, visibility: Visibility) -> set[str]:
    properties = resources.get("/Properties") if isinstance(resources, pikepdf.Dictionary) else None
    if not isinstance(properties, pikepdf.Dictionary):
        return set()
    return {name for name, content in properties.items() if visibility.hidden(content)}


def _without(holder: pikepdf.Page | pikepdf.Object, names: set[str]) -> bytes:
    """A content stream without what is painted inside hidden marked content; what only sets state stays."""
    kept: list[tuple[list[pikepdf.Object], pikepdf.Operator]] = []
    scopes: list[bool] = []
    for instruction in pikepdf.parse_content_stream(holder):
        operator, operands = str(instruction.operator), instruction.operands
        if operator in {"BMC", "BDC"}:
            hides = operator == "BDC" and len(operands) > 1 and operands[0] == "/OC" and str(operands[1]) in names
            scopes.append(hides or bool(scopes and scopes[-1]))
        elif operator == "EMC" and scopes:
            scopes.pop()
        elif scopes and scopes[-1]:
            if operator in _PAINT_OTHER:
                continue
            if operator in _PAINT_PATH:
                kept.append(([], pikepdf.Operator("n")))
                continue
            if operator in {"'", '"'}:
                kept.append(([], pikepdf.Operator("T*")))
                continue
        kept.append(instruction)  # type: ignore[arg-type]
    return bytes(pikepdf.unparse_content_stream(kept))


def _empty(stream: pikepdf.Stream) -> None:
    for key in list(stream.keys()):
        if key not in {"/Length", "/Type"}:
            del stream[key]
    stream.Subtype = pikepdf.Name.Form
    stream.BBox = pikepdf.Array([0, 0, 0, 0])
    stream.write(b"")


def _items(value: pikepdf.Object | None) -> list[pikepdf.Object]:
    """The dictionaries of an array, or a single one."""
    items = value.as_list() if isinstance(value, pikepdf.Array) else [value]
    return [item for item in items if isinstance(item, pikepdf.Dictionary)]
