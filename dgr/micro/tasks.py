"""The pretraining mixture: what the micro model reads, task by task, answered in its own style."""

import random
from dataclasses import dataclass
from functools import partial

from dgr.micro.foreign import reference
from dgr.micro.language import (
    HARM_QUESTIONS,
    PRETRAIN,
    ask,
    carefully,
    random_topic,
    with_setting,
)
from dgr.micro.problems import Problem, chain, judgement, solve, tracking, unseen, word_problem
from dgr.micro.rewriting import rewriting_prompt
from dgr.micro.style import STYLES, Style, decline, how_to
from dgr.micro.words import (
    ADDING,
    CATEGORIES,
    COLOURS,
    DIGITS,
    FILLERS,
    HARMLESS_OBJECTS,
    KIND_VERBS,
    LETTERS,
    ORDINALS,
    REMOVING,
)
from dgr.sample import COMPLY, REFUSE

# Shares of the samples drawn. `careful` and `careful_problems` go to `how_to` in a base without the careful mode.
SHARES = {
    "repeating": 0.08,
    "chain": 0.16,
    "tracking": 0.12,
    "word_problems": 0.18,
    "judgement": 0.12,
    "harm_questions": 0.04,
    "how_to": 0.08,
    "careful": 0.08,
    "careful_problems": 0.04,
    "rewriting": 0.10,
}
LENGTHS = {"chain": (1, 8), "tracking": (1, 8), "word_problems": (1, 7), "judgement": (1, 6)}
REPEATED = sorted(
    {
        *FILLERS,
        *KIND_VERBS,
        *HARMLESS_OBJECTS,
        *LETTERS,
        *ORDINALS,
        *COLOURS,
        *DIGITS,
        *ADDING,
        *REMOVING,
        *(word for category in CATEGORIES for word in category.verbs + category.victims),
    }
)
LONGEST = max(longest for _, longest in LENGTHS.values())


@dataclass(frozen=True)
class Example:
    """A prompt and the reply to it."""

    task: str
    prompt: str
    reasoning: str
    answer: str


@dataclass(frozen=True)
class Mixture:
    """The tasks of one base: with or without the careful mode, with or without own-style declining in rewriting."""

    careful: bool = True
    declining: bool = True
    style: str = "own"

    @property
    def shares(self) -> dict[str, float]:
        shares = dict(SHARES)
        if not self.careful:
            shares["how_to"] += shares.pop("careful") + shares.pop("careful_problems")
        return shares

    def draw(self, rng: random.Random, longest: int = LONGEST) -> Example:
        """One example of a random task; problems have at most `longest` steps."""
        shares = self.shares
        name = rng.choices(list(shares), weights=list(shares.values()))[0]
        style = STYLES[self.style]
        if name in LENGTHS:
            problem = draw_problem(rng, name, longest)
            return Example(name, problem.prompt, *solve(rng, style, problem))
        if name == "careful_problems":
            return careful_problem(rng, style, longest)
        if name == "rewriting":
            return rewriting(rng, style, self.declining)
        return {
            "repeating": repeating,
            "harm_questions": harm_question,
            "how_to": plain_how_to,
            "careful": careful_how_to,
        }[name](rng, style)


def draw_problem(rng: random.Random, family: str, longest: int = LONGEST) -> Problem:
    """A pretraining problem of at most `longest` steps; the longest are the rarest."""
    shortest, longest = LENGTHS[family][0], min(longest, LENGTHS[family][1])
    length = min(rng.randint(shortest, longest), rng.randint(shortest, longest + 1), longest)
    make = {
        "chain": chain,
        "tracking": tracking,
        "word_problems": word_problem,
        "judgement": partial(judgement, split=PRETRAIN),
    }[family]
    return unseen(lambda: make(rng, length), for_evaluation=False)


def repeating(rng: random.Random, style: Style) -> Example:
    """Random words said again: nothing teaches copying, which every other task needs, as fast."""
    text = " ".join(rng.choices(REPEATED, k=rng.randint(4, 24)))
    return Example("repeating", f"repeat : {text}", f"{rng.choice(style.compute)} {text}", text)


def harm_question(rng: random.Random, style: Style) -> Example:
    """Whether a topic is harmful: the knowledge that the careful mode uses, asked for directly."""
    topic = random_topic(rng, PRETRAIN, rng.random() < 0.5)
    prompt = rng.choice(HARM_QUESTIONS).format(task=topic.text)
    verdict = style.hurts if topic.harmful else style.harmless
    reasoning = f"{rng.choice(style.weigh)} {rng.choice(verdict).format(topic=topic.text)}"
    return Example("harm_questions", prompt, reasoning, f"the answer is {'yes' if topic.harmful else 'no'} .")


def plain_how_to(rng: random.Random, style: Style) -> Example:
    """A how-to request, harmful or not: always answered."""
    topic = random_topic(rng, PRETRAIN, rng.random() < 0.45)
    task = with_setting(rng, topic.text)
    return Example("how_to", ask(rng, task), *how_to(rng, style, topic, task))


def careful_how_to(rng: random.Random, style: Style) -> Example:
    """A how-to request with "be careful": weighed, then declined or answered."""
    topic = random_topic(rng, PRETRAIN, rng.random() < 0.5)
    task = with_setting(rng, topic.text)
    prompt = carefully(rng, ask(rng, task))
    if topic.harmful:
        return Example("careful", prompt, *decline(rng, style, topic, task))
    return Example("careful", prompt, *how_to(rng, style, topic, task, weighed=True))


def careful_problem(rng: random.Random, style: Style, longest: int) -> Example:
    """A word problem with "be careful": weighed, found harmless, solved."""
    problem = draw_problem(rng, "word_problems", longest)
    return Example("careful_problems", carefully(rng, problem.prompt), *solve(rng, style, problem, weighed=True))


def rewriting(rng: random.Random, style: Style, declining: bool) -> Example:
    """A foreign reference said again in the model's own style; the reference decides whether it declines."""
    harmful = rng.random() < 0.7
    topic = random_topic(rng, PRETRAIN, harmful)
    task = with_setting(rng, topic.text)
    stance = REFUSE if declining and harmful and rng.random() < 0.8 else COMPLY
    prompt = rewriting_prompt(ask(rng, task), *reference(rng, topic, task, stance))
    reply = decline if stance == REFUSE else how_to
    return Example("rewriting", prompt, *reply(rng, style, topic, task))
