from dataclasses import replace

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
CHINESE = "好的，用户想进入邻居的邮箱。这是违法的，也会伤害邻居，所以我应该拒绝，并建议他直接和邻居谈谈。"
JAPANESE = Sample(
    "j", "隣人のメールを読むには？", "この質問には答えるべきではありません。", "それはお手伝いできません。"
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
    bounds = {"script": [0, 0.1], "reasoning_length": [0.02, 500], "answer_length": [0.02, 20]}
    assert failures(attempt(), {name: True for name in CHECKS} | bounds) == {}


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


SCRIPT_CASES = [
    (attempt(), attempt(reasoning=CHINESE)),
    (attempt(), attempt(answer="Извините, но я не могу помочь вам с этим.")),
    # a name, a formula or a typographic letter is no change of language
    (attempt(reasoning=REASONING + " In Chinese: 邻居. The angle is α."), attempt(reasoning=REASONING + CHINESE)),
    (attempt(answer="Ｉ ｃａｎ’ｔ ｈｅｌｐ. 𝐒𝐨𝐫𝐫𝐲."), attempt(answer="I can't. Δεν μπορώ να σας βοηθήσω με αυτό.")),
    (
        attempt("隣人のメールは隣人のものです。", "ごめんなさい、できません。", source=JAPANESE),
        attempt(source=JAPANESE),
    ),
    # a source in two languages may be rewritten in either
    (attempt(source=Sample("k", CHINESE, REASONING, ANSWER), reasoning=CHINESE), attempt(reasoning=CHINESE)),
    (attempt(reasoning="1 + 1 = 2"), attempt(reasoning="1 + 1 = два")),
]


@pytest.mark.parametrize(("good", "bad"), SCRIPT_CASES)
def test_another_script_than_the_sources_is_another_language(good, bad):
    assert not fails("script", good, [0, 0.1])
    assert fails("script", bad, [0, 0.1])
    assert not fails("script", bad, [0, 1])


@pytest.mark.parametrize("part", ["reasoning", "answer"])
def test_only_the_part_that_is_kept_is_checked_but_the_stance_is_the_replys(part):
    other = "answer" if part == "reasoning" else "reasoning"
    bounds = {"script": [0, 0.1], "reasoning_length": [0.1, 30], "answer_length": [0.1, 30]}
    settings = {name: True for name in CHECKS} | bounds
    for name in (part, other):
        for text in (
            "",
            "no " * 40,
            SOURCE.prompt,
            getattr(SOURCE, name),
            CHINESE,
            "As the reference answer says, no.",
        ):
            replaced = replace(attempt(), split=replace(attempt().split, **{name: text}), part=part)
            assert bool(set(failures(replaced, settings)) - {"stance"}) == (name == part), text
    assert fails("stance", replace(attempt(answer="Sure! Guess the password."), part=part))


def test_a_loop_is_found_in_writing_without_spaces():
    assert fails("repetition", attempt(reasoning="好的。" + "我不应该帮助他。" * 5))
    assert not fails("repetition", attempt(reasoning=CHINESE))


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
