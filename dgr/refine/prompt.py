"""Prompt files: where they are, and how a sample's texts are put into one."""

import re
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"
PLACEHOLDERS = ("prompt", "reasoning", "answer")


def prompt_file(name: str, folder: Path = FOLDER) -> Path:
    """The file of a prompt that ships with the package in `folder`, or else of a path of the user's own."""
    shipped = folder / f"{name}.txt"
    return shipped if "/" not in name and shipped.is_file() else Path(name).expanduser()


def load_prompt(name: str) -> str:
    """The prompt without the comment lines (`#`) at its head."""
    lines = prompt_file(name).read_text(encoding="utf-8").splitlines()
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        lines.pop(0)
    return "\n".join(lines).strip()


def fill(template: str, **texts: str) -> str:
    """Each `{name}` of `texts` replaced, all in one pass: braces inside the texts, and all others, stay as they are."""
    pattern = "|".join(re.escape("{" + name + "}") for name in texts)
    return re.sub(pattern, lambda found: texts[found[0][1:-1]], template)


def file_problem(name: str, folder: Path = FOLDER) -> str | None:
    """Why there is no such prompt."""
    if not prompt_file(name, folder).is_file():
        shipped = ", ".join(sorted(file.stem for file in folder.glob("*.txt")))
        return f"prompt={name}: no such file; choose one of {shipped}, or give the path of a file"
    try:
        prompt_file(name, folder).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"prompt={name}: the file cannot be read as text ({error})"
    return None


def prompt_problems(name: str, shows: Sequence[str] = PLACEHOLDERS) -> list[str]:
    """What is wrong with a prompt's name or file; `shows` names the places that it must have, it may have no other."""
    if problem := file_problem(name):
        return [f"refine.{problem}"]
    template = load_prompt(name)
    there = [place for place in PLACEHOLDERS if "{" + place + "}" in template]
    missing, extra = [place for place in shows if place not in there], [place for place in there if place not in shows]
    found = []
    if missing:
        found.append(f"refine.prompt={name}: {_named(missing)} is not in the file; this strategy shows {_named(shows)}")
    if extra:
        found.append(f"refine.prompt={name}: {_named(extra)} is in the file; this strategy shows only {_named(shows)}")
    return found


def _named(places: Sequence[str]) -> str:
    return ", ".join("{" + place + "}" for place in places)
