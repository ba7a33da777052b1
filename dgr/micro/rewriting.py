"""The rewriting task: what the micro model is shown when it is to say a reference in its own words."""

from functools import cache
from pathlib import Path

TEMPLATE_FILE = Path(__file__).parent.parent / "refine" / "prompts" / "micro.txt"
WORDS = "rewrite in your own words . request : reference : reply :"


@cache
def template() -> str:
    """The prompt that `dgr.refine` gives to a micro target; pretraining uses the same file."""
    return TEMPLATE_FILE.read_text(encoding="utf-8").strip()


def rewriting_prompt(prompt: str, reasoning: str, answer: str) -> str:
    return template().format(prompt=prompt, reasoning=reasoning, answer=answer)
