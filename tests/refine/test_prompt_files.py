import pytest

from dgr.refine.prompt import FOLDER, fill, load_prompt, prompt_problems


def test_texts_are_put_in_once_and_never_read_as_placeholders():
    filled = fill("{a} | {b} | {c} {}", a="{b}", b=r"\1 {a}", unused="x")
    assert filled == r"{b} | \1 {a} | {c} {}"


def test_comments_at_the_head_are_left_out_and_a_hash_further_down_stays(tmp_path):
    file = tmp_path / "p.txt"
    file.write_text("# why\n\n# more\nSay:\n# {prompt}\n", encoding="utf-8")
    assert load_prompt(str(file)) == "Say:\n# {prompt}"


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.txt")))
def test_a_shipped_prompt_shows_every_text_of_a_sample_that_its_strategy_has(name):
    needed = ("prompt",) if name.startswith("self_refusal") else ("prompt", "reasoning", "answer")
    assert prompt_problems(name, needed) == []
    filled = fill(load_prompt(name), **{place: place.upper() for place in needed})
    assert all(place.upper() in filled for place in needed)
    assert "#" not in filled
    assert "{" not in filled


def test_a_place_for_a_text_that_the_strategy_does_not_show_is_a_problem():
    (found,) = prompt_problems("natural", ("prompt",))
    assert "{reasoning}, {answer} is in the file" in found
    assert "shows only {prompt}" in found


def test_the_micro_prompts_are_in_the_words_that_the_micro_model_knows():
    from dgr.micro.language import CAREFUL
    from dgr.micro.tokenizer import vocabulary

    assert load_prompt("sdft_micro") == load_prompt("micro"), "so that the attempts are shared"
    assert load_prompt("self_refusal_micro").removesuffix(" {prompt}") in CAREFUL
    for name in ("micro", "self_refusal_micro"):
        assert all(word.startswith("{") or word in vocabulary() for word in load_prompt(name).split())
