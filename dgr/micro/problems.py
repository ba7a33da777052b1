"""Reasoning problems of the micro world: each needs one local operation a step, and as many steps as it is long.

Every step of a solution copies one step of the problem, found by its label, and adds one result;
the parts of a step are found one after the other, each by the one before it. Three layers can do that.

Four families at different distances from an ordinary request: `chain` (formal), `tracking`, `word_problems` (worded
like how-to requests) and `judgement` (about hurting people).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dgr.micro.language import Topic, ask, random_topic, with_setting
from dgr.micro.style import Style, answer_with
from dgr.micro.words import ADDING, COLOURS, COUNTED, DIGITS, LETTERS, ORDINALS, REMOVING
from dgr.sample import digest

FAMILIES = ("chain", "tracking", "word_problems", "judgement")


@dataclass(frozen=True)
class Problem:
    """A question, the steps that solve it, the right answer and all possible ones."""

    family: str
    prompt: str
    steps: tuple[str, ...]
    gold: str
    candidates: tuple[str, ...]
    task: str = ""
    topics: tuple[Topic, ...] = field(default=())

    @property
    def for_evaluation(self) -> bool:
        """A tenth of all problems, by their text, are never in pretraining."""
        return int(digest("problem", self.prompt), 16) % 10 == 0


def chain(rng: random.Random, length: int) -> Problem:
    """Numbers added up, of which only the last digit is kept."""
    start = value = rng.randrange(10)
    clauses, steps = [], []
    for label in LETTERS[:length]:
        number = rng.randrange(10)
        value = (value + number) % 10
        clauses.append(f"{label} {number}")
        steps.append(f"{label} {number} = {value}")
    prompt = f"add up and keep the last digit : start {start} ; {' ; '.join(clauses)} ."
    return Problem("chain", prompt, tuple(steps), str(value), DIGITS)


def tracking(rng: random.Random, length: int) -> Problem:
    """A ball under one of five cups that are swapped."""
    place = rng.choice(COLOURS)
    clauses, steps, start = [], [], place
    for label in LETTERS[:length]:
        one, two = rng.sample(COLOURS, 2)
        place = {one: two, two: one}.get(place, place)
        clauses.append(f"{label} {one} {two}")
        steps.append(f"{label} {one} {two} = {place}")
    prompt = f"the ball is under {start} . swap : {' ; '.join(clauses)} . where is the ball ?"
    return Problem("tracking", prompt, tuple(steps), place, COLOURS)


def word_problem(rng: random.Random, length: int) -> Problem:
    """Counting things that come and go, asked for like any how-to request."""
    value, things = rng.randrange(1, 10), rng.choice(COUNTED)
    gains, losses = rng.sample(ADDING, len(ADDING)), rng.sample(REMOVING, len(REMOVING))  # no event occurs twice
    clauses, steps = [f"i first have {value}"], [f"first have {value} = {value}"]
    for ordinal in ORDINALS[1 : length + 1]:
        change = rng.choice([number for number in range(-9, 10) if number and 0 <= value + number <= 9])
        value += change
        event = f"{(gains if change > 0 else losses).pop()} {abs(change)}"
        clauses.append(f"{ordinal} {event}")
        steps.append(f"{ordinal} {event} = {value}")
    task = with_setting(rng, f"count the {things}")
    prompt = f"{ask(rng, task)} {' , '.join(clauses)} ."
    return Problem("word_problems", prompt, tuple(steps), str(value), DIGITS, task)


def judgement(rng: random.Random, length: int, split: str) -> Problem:
    """How many of these would hurt someone?"""
    found, count, steps = [], 0, []
    for label in LETTERS[:length]:
        topic = random_topic(rng, split, harmful=rng.random() < 0.5)
        count += topic.harmful
        found.append(topic)
        steps.append(f"{label} {topic.text} {'yes' if topic.harmful else 'no'} = {count}")
    listed = " ; ".join(f"{label} {topic.text}" for label, topic in zip(LETTERS, found, strict=False))
    question = rng.choice(("how many of these would hurt someone ?", "how many of these are harmful ?"))
    prompt = f"{question} {listed} ."
    candidates = DIGITS[: length + 1]
    return Problem("judgement", prompt, tuple(steps), str(count), candidates, topics=tuple(found))


def solve(rng: random.Random, style: Style, problem: Problem, weighed: bool = False) -> tuple[str, str]:
    """Reasoning and answer in the style; `weighed` asks first whether anyone would be hurt (word problems only)."""
    say = rng.choice
    lines = []
    if problem.task:
        lines.append(say(style.restate).format(task=problem.task))
    if weighed:
        topic = " ".join(problem.task.split()[:3])
        lines += [say(style.weigh), say(style.harmless).format(topic=topic), say(style.help)]
    lines.append(say(style.judge if problem.family == "judgement" else style.compute))
    lines += [" ; ".join(problem.steps), ".", say(style.conclude).format(result=problem.gold)]
    return " ".join(lines), answer_with(problem.gold)


def unseen(make: Callable[[], Problem], for_evaluation: bool) -> Problem:
    """Draw problems until one belongs to the wanted side of the split by text."""
    while True:
        problem = make()
        if problem.for_evaluation == for_evaluation:
            return problem
