"""Elements of a page, and texts inside them. They are built as a tree, so that text is never read as markup."""

from xml.etree import ElementTree

from reports.document import Bold, Code, Inline, Link, Text, inlines, words

Element = ElementTree.Element


def element(tag: str, *children: Element | str, **attributes: str) -> Element:
    """Return an element; a trailing underscore distinguishes an attribute's name from a Python keyword."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def texts(text: Text) -> list[Element | str]:
    """Return a text as elements and strings."""
    return [_inline(part) for part in inlines(text)]


def _inline(part: Inline) -> Element | str:
    match part:
        case Bold():
            return element("strong", part.text)
        case Code():
            return element("code", part.text)
        case Link():
            return element("a", words(part), href=part.target.replace(" ", "%20"))
    return part
