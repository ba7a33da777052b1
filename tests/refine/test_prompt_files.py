from dgr.refine.prompt import fill, load_prompt


def test_texts_are_put_in_once_and_never_read_as_placeholders():
    filled = fill("{a} | {b} | {c} {}", a="{b}", b=r"\1 {a}", unused="x")
    assert filled == r"{b} | \1 {a} | {c} {}"


def test_comments_at_the_head_are_left_out_and_a_hash_further_down_stays(tmp_path):
    file = tmp_path / "p.txt"
    file.write_text("# why\n\n# more\nSay:\n# {prompt}\n", encoding="utf-8")
    assert load_prompt(str(file)) == "Say:\n# {prompt}"


def test_the_shipped_prompts_show_every_text_of_a_sample():
    for name in ("micro", "natural"):
        filled = fill(load_prompt(name), prompt="PPP", reasoning="RRR", answer="AAA")
        assert all(text in filled for text in ("PPP", "RRR", "AAA"))
        assert "#" not in filled
