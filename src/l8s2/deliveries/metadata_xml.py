"""XML of products, read so that it can neither grow nor lead anywhere."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from l8s2.errors import InputError


def parse_xml(content: str, name: str) -> ElementTree.Element:
    """Return the root of a document, of text so that no encoding hides what is refused.

    Raises InputError, a message that begins with ``name``, for a web page, a document type and entities; ValueError for
    what is no XML.
    """
    if re.search(r"<html|<!doctype html", content[:500], re.IGNORECASE):
        raise InputError(f"{name}: a web page saved as metadata; download it again")
    if re.search(r"<!(doctype|entity)", content, re.IGNORECASE):
        raise InputError(f"{name}: XML with a document type, which no product has; download it again")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML: {error}") from None
