"""Hook of mkdocs: a link from docs/ to a file of the repository outside of it becomes that file's name."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)([^)#]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite the links of a page."""
    depth = page.file.src_uri.count("/") + 1

    def inside(match: re.Match[str]) -> str:
        above = match[0].count("../")
        return match[0] if above < depth else f"{match[1]} (`{match[2]}`)" if "`" not in match[1] else match[1]

    return _OUTSIDE.sub(inside, markdown)
