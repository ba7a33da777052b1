"""Prompt files of judges: where they are, and their text to the last line break."""

from collections.abc import Sequence
from pathlib import Path

from dgr.refine.prompt import file_problem, fill, prompt_file

FOLDER = Path(__file__).parent / "prompts"
PLACES = ("prompt", "answer", "reasoning", "gold", "category")


def load_prompt(name: str) -> str:
    """The prompt after the comment lines (`#`) at its head; the line break that ends the file is no part of it."""
    lines = prompt_file(name, FOLDER).read_text(encoding="utf-8").split("\n")
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "\n".join(lines).removesuffix("\n")


def filled(name: str, **texts: str) -> str:
    """Every `{place}` replaced in one pass: what stands in the texts, and all other braces, stay as they are."""
    return fill(load_prompt(name), **texts)


def prompt_problems(name: str, needed: Sequence[str]) -> list[str]:
    """What is wrong with a prompt's name or file; `needed` names places that it must have."""
    if problem := file_problem(name, FOLDER):
        return [problem]
    template = load_prompt(name)
    missing = [place for place in needed if "{" + place + "}" not in template]
    return [f"prompt={name}: {{{place}}} is not in the file; the judge would not see it" for place in missing]
