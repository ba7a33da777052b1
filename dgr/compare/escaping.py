"""Text that models, datasets and file names brought, made harmless for where it is shown."""

import html
import re

# everything that moves a cursor, turns the reading direction or ends a line
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",
} | {character: "\\" + character for character in "&%$#_{}"}


def printable(text: object) -> str:
    """One line without control characters; they become visible escapes (`\\x1b`)."""
    return _CONTROLS.sub(lambda found: ascii(found.group())[1:-1], str(text))


def markup(text: object) -> str:
    """For plotly's labels and HTML, which read tags."""
    return html.escape(printable(text))


def markdown(text: object) -> str:
    """For a cell of a Markdown table."""
    return re.sub(r"([\\`*_\[\]|~!])", r"\\\1", html.escape(printable(text), quote=False))


def tex(text: object) -> str:
    return "".join(_TEX.get(character, character) for character in printable(text))


def spreadsheet(text: object) -> str:
    """For a text cell of a CSV; a spreadsheet program would run what begins like a formula."""
    line = printable(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@", "\t")) else line
