"""Prompt files: where they are, and how a sample's texts are put into one."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"
PLACEHOLDERS = ("prompt", "reasoning", "answer")


def prompt_file(name: str) -> Path:
    """The file of a prompt that ships with the package, or else of a path of the user's own."""
    shipped = FOLDER / f"{name}.txt"
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


def prompt_problems(name: str) -> list[str]:
    """What is wrong with a prompt's name or file."""
    if not prompt_file(name).is_file():
        shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.txt")))
        return [f"refine.prompt={name}: no such file; choose one of {shipped}, or give the path of a file"]
    try:
        template = load_prompt(name)
    except (OSError, UnicodeDecodeError) as error:
        return [f"refine.prompt={name}: the file cannot be read as text ({error})"]
    missing = [placeholder for placeholder in PLACEHOLDERS if "{" + placeholder + "}" not in template]
    if missing:
        named = ", ".join("{" + placeholder + "}" for placeholder in missing)
        return [f"refine.prompt={name}: {named} is not in the file; the prompt needs a place for each text of a sample"]
    return []
