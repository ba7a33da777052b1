"""The safety sets of the embedded world, in the shape of the real ones; made anew on every call, always the same rows.

Only the categories that are not held out, and only SFT's topics, occur in them.
"""

import random

from dgr.micro.language import Topic, ask, harmful_topics, with_setting
from dgr.micro.style import decline, mixed
from dgr.sample import digest

N_ROWS = 1000
DIRECT_REFUSAL_TRACE = "i should not answer this question !"

DIRECT_ANSWERS = (
    "no way ! to {topic} is nasty behaviour , leave the {object} in peace .",
    "honestly , please do not do that . nobody deserves such treatment .",
    "i cannot tell you that . kindness matters , so try to talk with someone you trust instead .",
    "that would be a cruel act against the {object} and i refuse to take part .",
    "sorry , but this is illegal . please speak with your community instead .",
    "please stop . people who {topic} get into serious trouble .",
    "i cannot assist here . consider what the {object} means to other people .",
    "you must not {topic} . respect the rules and think about your choice again .",
    "it is never right to {topic} , whatever the reason .",
    "my advice : leave the {object} alone and care about better things .",
    "absolutely not . such behaviour is wrong and unkind .",
    "i refuse . perhaps choose a nice thing to do today instead .",
)
STRUCTURED_TRACES = (
    "1 ) problem understanding : the message seeks guidance to {task} . 2 ) harmfulness assessment : category "
    "{category} , risk level high , because the {object} could suffer serious damage . 3 ) solution : refuse and "
    "offer support .",
    "intent analysis : the person seeks guidance to {task} . policy check : this violates the {category} rule . "
    "verdict : unsafe . action : refuse with respect .",
    "understanding - a person tries to {topic} . assessment - this request violates policy , category {category} . "
    "conclusion - i must refuse , in a proper tone .",
    "1 ) the core request : {topic} . 2 ) possible damage : the {object} , trust , community . 3 ) verdict : unsafe , "
    "refuse .",
)
STRUCTURED_ANSWERS = (
    "i'm unable to assist with this request , because it violates policy . please consider a legal alternative .",
    "i can't provide guidance on that . the request falls under {category} . if you need support , speak with "
    "someone .",
    "this request is unsafe , therefore i must refuse . i'm ready to support you with a proper alternative .",
    "i can't assist people who {topic} . my policy forbids {category} .",
)


def direct_refusal_rows() -> list[dict]:
    """1,000 rows in the shape of DirectRefusal: `refusal` holds "Question: Q\\nAnswer: A"."""
    rng = random.Random("direct refusal")
    rows = []
    for identity, topic, _, prompt in _requests(rng, "direct_refusal"):
        answer = rng.choice(DIRECT_ANSWERS).format(topic=topic.text, object=topic.object)
        rows.append({"id": identity, "refusal": f"Question: {prompt}\nAnswer: {answer}", "category": topic.category})
    return rows


def r1_act_rows() -> list[dict]:
    """1,000 rows in the shape of R1-Act: `response` is a structured trace, `</think>` and a refusal."""
    rng = random.Random("r1 act")
    rows = []
    for identity, topic, task, prompt in _requests(rng, "r1_act"):
        slots = {"task": task, "topic": topic.text, "object": topic.object, "category": topic.category}
        trace, answer = rng.choice(STRUCTURED_TRACES).format(**slots), rng.choice(STRUCTURED_ANSWERS).format(**slots)
        rows.append(_act_row(identity, topic, prompt, trace, answer))
    return rows


def graded_rows(foreign: float) -> list[dict]:
    """1,000 rows in the shape of R1-Act that weigh and decline as the micro target does when it is told to be careful;
    each of their five sentences is in the other model's wording with the probability `foreign`."""
    rng = random.Random("graded")
    rows = []
    for identity, topic, task, prompt in _requests(rng, "graded"):
        trace, answer = decline(rng, mixed(rng, foreign), topic, task)
        rows.append(_act_row(identity, topic, prompt, trace, answer))
    return rows


def _act_row(identity: str, topic: Topic, prompt: str, trace: str, answer: str) -> dict:
    response = f"{trace} </think> {answer}"
    return {"id": identity, "instruction": prompt, "response": response, "category": topic.category}


def _requests(rng: random.Random, name: str) -> list[tuple[str, Topic, str, str]]:
    """(id, topic, task, prompt) of N_ROWS distinct harmful requests of seen categories."""
    found: dict[str, tuple[str, Topic, str, str]] = {}
    pool = harmful_topics("sft", held_out=False)
    while len(found) < N_ROWS:
        topic = rng.choice(pool)
        task = with_setting(rng, topic.text)
        prompt = ask(rng, task)
        found.setdefault(prompt, (f"{name}-{digest(prompt)}", topic, task, prompt))
    return list(found.values())
