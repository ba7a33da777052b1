"""Prompt files of judges: where they are, and their text to the last line break."""

from collections.abc import Sequence
from pathlib import Path

from dgr.refine.prompt import fill

FOLDER = Path(__file__).parent / "prompts"
PLACES = ("prompt", "answer", "reasoning", "gold", "category")


def prompt_file(name: str) -> Path:
    """The file of a prompt that ships with the package, or else of a path of the user's own."""
    shipped = FOLDER / f"{name}.txt"
    return shipped if "/" not in name and shipped.is_file() else Path(name).expanduser()


def load_prompt(name: str) -> str:
    """The prompt after the comment lines (`#`) at its head; the line break that ends the file is no part of it."""
    lines = prompt_file(name).read_text(encoding="utf-8").split("\n")
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "\n".join(lines).removesuffix("\n")


def filled(name: str, **texts: str) -> str:
    """Every `{place}` replaced in one pass: what stands in the texts, and all other braces, stay as they are."""
    return fill(load_prompt(name), **texts)


def prompt_problems(name: str, needed: Sequence[str]) -> list[str]:
    """What is wrong with a prompt's name or file; `needed` names places that it must have."""
    if not prompt_file(name).is_file():
        shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.txt")))
        return [f"prompt={name}: no such file; choose one of {shipped}, or give the path of a file"]
    try:
        template = load_prompt(name)
    except (OSError, UnicodeDecodeError) as error:
        return [f"prompt={name}: the file cannot be read as text ({error})"]
    missing = [place for place in needed if "{" + place + "}" not in template]
    return [f"prompt={name}: {{{place}}} is not in the file; the judge would not see it" for place in missing]
