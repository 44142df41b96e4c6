"""Hook of mkdocs: every notebook of notebooks/ becomes a page of the site, its text and code without outputs."""

import re
from pathlib import Path
from typing import Any

import jupytext
from mkdocs.structure.files import File

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
_HOW = "!!! note\n    This page is the notebook [`notebooks/{0}`](../../notebooks/{0}) without its outputs.\n"


def on_files(files: Any, *, config: Any) -> Any:
    """Add the pages."""
    for path in sorted(NOTEBOOKS.glob("*.py")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page_of(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let a link from docs/ to a notebook lead to its page."""
    return re.sub(r"]\(\.\./notebooks/(\w+)\.py\)", r"](notebooks/\1.md)", markdown)


def page_of(path: Path) -> str:
    """Return a notebook as Markdown; its links to docs/ are such within the site."""
    cells = [
        cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
        for cell in jupytext.read(path, fmt="py:percent").cells
    ]
    title, _, text = cells[0].partition("\n")
    return "\n\n".join([title, _HOW.format(path.name), text.strip(), *cells[1:]]).replace("](../docs/", "](../")
