import random
from types import SimpleNamespace

import pytest
import torch

from dgr.training.batches import IGNORED, encode
from dgr.training.passes import collate, computed_tokens, cut

END = 1
LENGTHS = random.Random(7).sample(range(10, 900), 16)


def example(ids, n_prompt):
    return SimpleNamespace(input_ids=ids, labels=[IGNORED] * n_prompt + ids[n_prompt:])


def contents(shares):
    return [content for share in shares for content in share]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 4, 16])
@pytest.mark.parametrize("per_device_batch", ["auto", 1])
@pytest.mark.parametrize("tokens_per_pass", [1, 1000, 3000, 10**6])
def test_every_example_is_in_one_pass_and_all_processes_have_as_many(
    processes, per_device_batch, tokens_per_pass, packing
):
    shares = cut(LENGTHS, processes, per_device_batch, tokens_per_pass, packing)
    assert sorted(position for content in contents(shares) for position in content) == list(range(16))
    assert len(shares) == processes
    assert len({len(share) for share in shares}) == 1
    assert all(contents(shares)), "a pass without an example would hang the others"


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_pass_holds_no_more_tokens_than_allowed_unless_one_example_does(processes, packing):
    for content in contents(cut(LENGTHS, processes, "auto", 1500, packing)):
        lengths = [LENGTHS[position] for position in content]
        assert len(content) == 1 or (sum(lengths) if packing else max(lengths) * len(content)) <= 1500


def test_a_number_of_examples_is_kept_and_like_lengths_go_together():
    shares = cut(LENGTHS, 2, 4, 1, packing=False)
    assert {len(content) for content in contents(shares)} == {4}
    first, second = ([LENGTHS[position] for share in shares for position in share[number]] for number in range(2))
    assert min(first) >= max(second)


def test_the_cut_saves_padding_where_that_pays_for_another_pass():
    whole = computed_tokens(cut(LENGTHS, 1, 16, 1, False), LENGTHS, False)
    chosen = cut(LENGTHS, 1, "auto", 10**6, False)
    assert whole == 16 * max(LENGTHS)
    assert computed_tokens(chosen, LENGTHS, False) + 512 * (len(chosen[0]) - 1) < 0.8 * whole
    assert len(cut([50] * 16, 1, "auto", 10**6, False)[0]) == 1, "nothing to save here"


def test_packing_computes_no_padding_in_the_fewest_passes():
    shares = cut(LENGTHS, 1, "auto", 4000, packing=True)
    assert computed_tokens(shares, LENGTHS, True) == sum(LENGTHS)
    assert len(shares[0]) <= sum(LENGTHS) // 4000 + 2


def test_mask_comes_from_the_lengths_even_where_the_pad_token_is_the_end_token():
    batch = collate([example([5, 6, 7, END], 2), example([5, END], 1)], pad_id=END)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, END], [IGNORED, END, IGNORED, IGNORED]]
    assert batch["input_ids"].tolist() == [[5, 6, 7, END], [5, END, END, END]]


def test_a_packed_row_starts_again_with_every_example():
    batch = collate([example([5, 6, 7, END], 2), example([8, END], 0)], pad_id=0, packing=True, benign=[False, True])
    assert batch["input_ids"].tolist() == [[5, 6, 7, END, 8, END]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, END, IGNORED, END]], "nothing predicts a first token"
    assert batch["benign"].tolist() == [[False] * 5 + [True]]
    assert "attention_mask" not in batch


def test_packed_and_padded_logits_agree(samples, target):
    encoded = encode(samples, target.chat(), None)
    model = target.load_model("float32")
    row = collate(encoded, 0, packing=True)
    row.pop("labels")
    rows = collate(encoded, 0)
    with torch.no_grad():
        packed = model(**row, use_cache=False).logits[0]
        padded = model(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits
    alone = torch.cat([padded[number, : len(example.input_ids)] for number, example in enumerate(encoded)])
    assert torch.allclose(packed, alone, atol=1e-5)
