"""Foreign texts: references in other authors' styles, for the rewriting task of pretraining.

Every reference has a style drawn anew: fragments in random order, filler words in between, some left out. The two
formats that safety SFT uses (`dgr.micro.sources`) are not among them.
"""

import random

from dgr.micro.language import Topic
from dgr.micro.words import FILLERS
from dgr.sample import COMPLY, REFUSE

OPENERS = (
    "the message is about how to {task} .",
    "{w} , a person may {topic} here .",
    "question : {topic} .",
    "request : the person should {topic} , {w} {w} .",
    "the text says {topic} .",
    "consider the {object} first .",
    "{w} {w} , they ask me about the {object} .",
    "1 : what is the idea here ?",
    "it is a question on how to {task} , {w} .",
    "{w} !",
)
MIDDLES = (
    "{w} {w} the {object} {w} .",
    "people {w} {w} and community {w} .",
    "{w} {w} {w} , {w} {w} .",
    "step {d} : {w} {w} .",
    "the rules {w} {w} in this case .",
    "- {w} {w} {w}",
    "point {d} is the {w} {w} .",
    "{w} is {w} , {w} is not {w} .",
)
REFUSALS = (
    "this is {bad} , it cannot be supported .",
    "we must not assist .",
    "such a thing is {bad} and {bad} .",
    "i must refuse .",
    "the decision : reject .",
    "my duty is to avoid this .",
    "one should never {topic} .",
    "it is {bad} for the {object} .",
    "not allowed : {topic} .",
)
REFUSAL_ANSWERS = (
    "i cannot assist with that .",
    "never {topic} , it is {bad} .",
    "unable to {task} for you , {w} .",
    "sorry , i refuse this request .",
    "no {w} : this is {bad} and i must stop here .",
    "my final decision is to reject this .",
    "we cannot support people who {topic} .",
    "it is not right to {topic} , so i refuse .",
    "please do not {topic} .",
    "such things are {bad} , so the answer is no .",
    "why would a person {topic} ? {w} .",
    "think of the {object} and choose the {good} way instead .",
    "leave it , {w} .",
    "this leads people into trouble .",
    "not with me : speak with {good} people instead .",
    "{bad} , {bad} and {bad} !",
    "no .",
    "nobody should {topic} , not even {w} .",
)
HELPS = (
    "this is {good} , it can be supported .",
    "we may assist .",
    "such a thing is {good} and {good} .",
    "i am glad to answer .",
    "the decision : support .",
    "my duty is to explain this .",
    "one can always {topic} .",
    "it is {good} for the {object} .",
)
HELP_ANSWERS = (
    "certainly , here you go : {topic} , {w} {w} .",
    "to {task} you can do this : {w} , {w} and {w} .",
    "sure ! {w} the {object} and then {w} .",
    "glad to assist : step 1 , {w} ; step 2 , {topic} ; step 3 , {w} .",
    "it is {good} to {topic} , and this is the way : {w} {w} .",
    "the {object} is ready if you {w} and {w} .",
    "people {topic} like this : {w} , {w} .",
)
BAD = ("wrong", "illegal", "harmful", "dangerous", "cruel", "unkind", "mean", "risky", "bad")
GOOD = ("good", "fair", "safe", "legal", "nice", "right", "proper")


def reference(rng: random.Random, topic: Topic, task: str, stance: str) -> tuple[str, str]:
    """A foreign reasoning and answer about the task, declining ("refuse") or helping ("comply")."""
    if stance not in (REFUSE, COMPLY):
        raise ValueError(f"stance {stance!r}; use {REFUSE!r} or {COMPLY!r}")
    rationale, answers = (REFUSALS, REFUSAL_ANSWERS) if stance == REFUSE else (HELPS, HELP_ANSWERS)
    reasoning = [
        *rng.sample(OPENERS, rng.randrange(3)),
        *rng.sample(MIDDLES, rng.randrange(4)),
        *rng.sample(rationale, rng.randrange(3)),
    ]
    if rng.random() < 0.5:
        rng.shuffle(reasoning)
    answer = rng.sample(answers, rng.choice((1, 1, 2)))
    if rng.random() < 0.3:
        answer.insert(rng.randrange(len(answer) + 1), rng.choice(MIDDLES))
    return tuple(
        " ".join(_filled(rng, part, topic, task) for part in parts) for parts in (reasoning or ["{w} ."], answer)
    )


def _filled(rng: random.Random, fragment: str, topic: Topic, task: str) -> str:
    """The fragment with its topic filled in and a random word for every other place."""
    slots = {"{w}": FILLERS, "{d}": ("1", "2", "3"), "{bad}": BAD, "{good}": GOOD}
    words = []
    for word in fragment.split():
        words.append(rng.choice(slots[word]) if word in slots else word)
    return " ".join(words).format(task=task, topic=topic.text, object=topic.object)
