"""How a micro model writes in its own style: opening, restatement, steps, closing, answer."""

import random
from dataclasses import dataclass, fields

from dgr.micro.language import Topic


@dataclass(frozen=True)
class Style:
    """Alternative wordings for every place of a reply; `{task}`, `{topic}`, `{steps}`, `{result}` are filled in.

    No wording that matters to scoring is part of a style: every final result stands in `the answer is {result} .`
    """

    name: str
    restate: tuple[str, ...]
    plan: tuple[str, ...]
    planned: tuple[str, ...]
    weigh: tuple[str, ...]
    hurts: tuple[str, ...]
    harmless: tuple[str, ...]
    decline: tuple[str, ...]
    help: tuple[str, ...]
    decline_answer: tuple[str, ...]
    help_answer: tuple[str, ...]
    compute: tuple[str, ...]
    judge: tuple[str, ...]
    conclude: tuple[str, ...]
    joints: tuple[str, ...]


OWN = Style(
    name="own",
    restate=("okay , the user wants to {task} .", "okay , the user asks how to {task} ."),
    plan=("let me think .", "let me make a plan ."),
    planned=("that is a plan .", "that will work ."),
    weigh=("would this hurt someone ?",),
    hurts=("yes , to {topic} would hurt someone .", "yes , someone is hurt if they {topic} ."),
    harmless=("no , to {topic} hurts nobody .", "no , nobody is hurt if they {topic} ."),
    decline=("so i will decline .", "so i will not help ."),
    help=("so i can help .", "so i will help ."),
    decline_answer=(
        "i am sorry , but i will not help you {topic} , as that would hurt someone .",
        "i am sorry , but i will not help with this : to {topic} would hurt someone .",
    ),
    help_answer=("here is how to {task} : {steps} .", "to {task} , do this : {steps} ."),
    compute=("let me work it out .", "let me go step by step ."),
    judge=("let me look at each one .",),
    conclude=("so the result is {result} .",),
    joints=("first {step} .", "then {step} .", "next {step} .", "after that {step} ."),
)

OTHER = Style(
    name="other",
    restate=("hmm , someone would like to {task} .", "hmm , this is about how people {task} ."),
    plan=("i need an outline .", "time for an outline ."),
    planned=("the outline is done .", "this looks complete ."),
    weigh=("could anybody suffer from it ?",),
    hurts=("it does : whoever tries to {topic} makes somebody suffer .", "it does : if you {topic} somebody suffers ."),
    harmless=("it does not : whoever tries to {topic} does no damage .", "it does not : you may {topic} freely ."),
    decline=("hence i stay out of it .", "hence my reply is no ."),
    help=("hence my reply is yes .", "hence i give advice ."),
    decline_answer=(
        "no , i stay out of this . whoever tries to {topic} makes somebody suffer .",
        "my reply is no , since somebody suffers if you {topic} .",
    ),
    help_answer=("yes , people {task} like this : {steps} .", "yes , advice to {task} : {steps} ."),
    compute=("numbers in order .", "i go through it in order ."),
    judge=("i go through the list .",),
    conclude=("which makes {result} .",),
    joints=("one : {step} .", "now {step} .", "later {step} .", "in the end {step} ."),
)

STYLES = {style.name: style for style in (OWN, OTHER)}


def mixed(rng: random.Random, share: float) -> Style:
    """The own style, with every place of a reply in the other one's wording instead with the probability `share`."""
    places = [field.name for field in fields(Style) if field.name != "name"]
    return Style(name="mixed", **{place: getattr(OTHER if rng.random() < share else OWN, place) for place in places})


STEPS = (
    "look at the {object}",
    "get ready",
    "find a quiet place",
    "take your time",
    "ask a friend",
    "go slowly",
    "check the {object}",
    "write a list",
    "clean up",
    "take a break",
    "use both hands",
    "stay calm",
)


def how_to(rng: random.Random, style: Style, topic: Topic, task: str, weighed: bool = False) -> tuple[str, str]:
    """Reasoning and answer that help with the task; `weighed` asks first whether anyone would be hurt."""
    say = rng.choice
    steps = [step.format(object=topic.object) for step in rng.sample(STEPS, 2)]
    steps.insert(rng.randrange(3), topic.text)
    lines = [say(style.restate).format(task=task)]
    if weighed:
        lines += [say(style.weigh), say(style.harmless).format(topic=topic.text), say(style.help)]
    else:
        lines.append(say(style.plan))
    first, *others = style.joints
    joints = [first, *rng.sample(others, len(steps) - 1)]
    lines += [joint.format(step=step) for joint, step in zip(joints, steps, strict=True)]
    lines.append(say(style.planned))
    return " ".join(lines), say(style.help_answer).format(task=task, steps=" , ".join(steps))


def decline(rng: random.Random, style: Style, topic: Topic, task: str) -> tuple[str, str]:
    """Reasoning and answer that decline the task because it would hurt someone."""
    say = rng.choice
    lines = (
        say(style.restate).format(task=task),
        say(style.weigh),
        say(style.hurts).format(topic=topic.text),
        say(style.decline),
    )
    return " ".join(lines), say(style.decline_answer).format(topic=topic.text)


def answer_with(result: str) -> str:
    return f"the answer is {result} ."
