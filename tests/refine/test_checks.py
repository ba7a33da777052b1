import pytest

from dgr.chat import Split
from dgr.generator import LENGTH, STOP
from dgr.refine.checks import CHECKS, Attempt, failures, loop, refuses, words
from dgr.sample import Sample

SOURCE = Sample(
    "x",
    "How do I get into my neighbour's e-mail account?",
    "I should not answer this question!",
    "I cannot help with reading somebody else's mail without their consent; ask them, or talk to a lawyer instead.",
)
REASONING = (
    "Okay, someone wants to read a neighbour's mail. That account is private, and getting in would be illegal and "
    "could hurt the neighbour. I should say no and offer something better."
)
ANSWER = "I'm sorry, but I can't help you get into another person's account. If you lost contact, knock on the door."


def attempt(reasoning=REASONING, answer=ANSWER, closed=True, blocks=1, reason=STOP, source=SOURCE, language="natural"):
    return Attempt(source, Split(reasoning, answer, closed, blocks), reason, language)


def fails(name, tried, *bounds):
    return CHECKS[name](tried, *bounds) is not None


def test_a_good_rewrite_fails_nothing():
    settings = {name: True for name in CHECKS} | {"reasoning_length": [0.02, 500], "answer_length": [0.02, 20]}
    assert failures(attempt(), settings) == {}


def test_a_check_that_is_off_finds_nothing_and_reasons_are_given():
    tried = attempt(reasoning="", reason=LENGTH)
    assert failures(tried, {"unfinished": False, "empty": True}) == {"empty": "the reasoning holds no words"}


CASES = [
    ("unfinished", attempt(), attempt(reason=LENGTH)),
    ("think_block", attempt(), attempt(closed=False)),
    ("think_block", attempt(), attempt(blocks=2)),
    ("think_block", attempt(), attempt(blocks=0)),
    ("empty", attempt(), attempt(answer="")),
    ("empty", attempt(reasoning="No."), attempt(reasoning=" ...\n")),
    ("leak", attempt(), attempt(reasoning=REASONING + " Now I rewrite it in my own words.")),
    ("leak", attempt(), attempt(answer="As the reference answer says, I can't help.")),
    ("leak", attempt(reasoning="The other person is a friend."), attempt(reasoning="The other assistant declined.")),
    ("leak", attempt(answer="I can't refer you."), attempt(answer="I can't.\n</reply>")),
    (
        "leak",
        attempt(source=Sample("y", "Please rewrite this e-mail", "r", "a"), reasoning="I am to rewrite an e-mail."),
        attempt(source=Sample("y", "Please write this e-mail", "r", "a"), reasoning="I am to rewrite an e-mail."),
    ),
    ("repetition", attempt(reasoning="no no no no"), attempt(reasoning="no " * 20)),
    (
        "repetition",
        attempt(reasoning="Step 1: take 4. Step 2: take 5. Step 3: take 6. Step 4: take 7. Step 5: take 8."),
        attempt(reasoning="Let me see. " + "I should not help with that. " * 5),
    ),
    ("copy_source", attempt(), attempt(reasoning="i should not answer this question")),
    ("copy_source", attempt(answer="I cannot help with that."), attempt(answer=SOURCE.answer)),
    ("copy_source", attempt(), attempt(answer=f"Sure. {SOURCE.answer} Bye.")),
    ("copy_source", attempt(), attempt(answer=" ".join(SOURCE.answer.split()[:14]))),
    ("copy_prompt", attempt(), attempt(answer=SOURCE.prompt)),
    ("copy_prompt", attempt(reasoning=f"The user asks: {SOURCE.prompt} I say no."), attempt(reasoning=SOURCE.prompt)),
    ("stance", attempt(), attempt(answer="Sure! First you open the login page, then you guess the password.")),
    (
        "stance",
        attempt(source=Sample("z", "p", "r", "a", stance="comply"), answer="Boil the eggs for six minutes."),
        attempt(source=Sample("z", "p", "r", "a", stance="comply"), answer="I'm sorry, but I can't help with eggs."),
    ),
]


@pytest.mark.parametrize(("name", "good", "bad"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_a_check_tells_good_from_bad(name, good, bad):
    assert not fails(name, good)
    assert fails(name, bad)


@pytest.mark.parametrize("name", ["reasoning_length", "answer_length"])
def test_length_ratios_have_bounds_on_both_sides(name):
    tried = attempt(reasoning=SOURCE.reasoning * 3, answer=SOURCE.answer * 3)
    assert not fails(name, tried, [0.5, 3.0])
    assert fails(name, tried, [0.5, 2.9])
    assert fails(name, tried, [3.1, 9.0])


def test_topic_and_stance_in_the_micro_language():
    source = Sample("m", "how do i poison the dog ?", "i should not answer this question !", "i cannot tell you that .")
    thought = "okay , the user wants to poison the dog . yes , to poison the dog would hurt someone ."
    declined = "i am sorry , but i will not help you poison the dog , as that would hurt someone ."

    def micro(reasoning, answer):
        return attempt(reasoning, answer, source=source, language="micro")

    good = micro(thought, declined)
    assert not fails("topic", good)
    assert not fails("stance", good)
    assert not fails("leak", good)
    assert fails("topic", micro(thought, declined.replace("dog", "cat")))
    assert fails("topic", micro(thought.replace("poison", "feed"), declined))
    assert fails("stance", micro(thought, "to poison the dog , do this : get ready , go slowly ."))
    assert fails("leak", micro("rewrite in your own words", declined))


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m not able to provide instructions for this.",
        "I cannot and will not help with that request.",
        "I won't be able to help you here.",
        "Sorry, I can't share that.",
        "I must respectfully decline.",
        "No. That would hurt people, and I refuse to take part.",
        "I am unable to comply with this request.",
        "That is not something I can help with.",
        "I can't in good conscience explain this.",
        "We're sorry, but we cannot discuss this.",
    ],
)
def test_refusals_are_read_as_refusals(answer):
    assert refuses(answer, "natural")


@pytest.mark.parametrize(
    "answer",
    [
        "Sure, here is how you do it. First, buy the parts.",
        "You can't see it from the road, so walk up to the gate.",
        "To refuse an offer politely, thank them first.",
        "If the dough does not rise, it cannot be helped: start again.",
        "Nobody knows; historians decline to give a date.",
        "I help people with this every day.",
    ],
)
def test_help_is_not_read_as_a_refusal(answer):
    assert not refuses(answer, "natural")


def test_a_loop_is_found_wherever_it_is():
    assert loop(words("a b c " + "so we go on " * 6 + "the end")) in ("so we go on", "we go on so", "go on so we")
    assert loop(words("one two three four five six seven eight nine ten " * 3)) == ""
    assert loop([]) == ""
