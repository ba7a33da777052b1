import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dgr.training.batches import IGNORED, check_mask, collate, encode, plan_batches

END = 1


def plan(samples, seed=0, global_batch=4, per_device_batch="auto", epochs=None, max_steps=None, length=10):
    return plan_batches(samples, [length] * len(samples), seed, global_batch, per_device_batch, epochs, max_steps)


def example(ids, n_prompt):
    return SimpleNamespace(input_ids=ids, labels=[IGNORED] * n_prompt + ids[n_prompt:])


def test_order_depends_on_the_seed_and_the_ids_only(samples):
    shuffled = random.Random(1).sample(samples, len(samples))
    ids = [samples[i].id for i in plan(samples, max_steps=20).stream]
    assert ids == [shuffled[i].id for i in plan(shuffled, max_steps=20).stream]
    assert ids == [samples[i].id for i in plan(samples, max_steps=20, per_device_batch=1).stream]
    assert ids != [samples[i].id for i in plan(samples, max_steps=20, seed=1).stream]


def test_every_epoch_holds_every_sample_once_in_an_order_of_its_own(samples):
    stream = plan(samples, max_steps=5).stream
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]


def test_fewer_samples_than_the_batch_still_make_full_batches_and_equal_steps(samples):
    few = plan(samples, global_batch=16, max_steps=100)
    assert (few.steps, len(few.stream), few.effective_batch) == (100, 1600, 16)
    assert all(stream_count == 160 for stream_count in map(few.stream.count, range(10)))


@pytest.mark.parametrize(("epochs", "global_batch", "steps"), [(5, 8, 7), (1, 16, 1), (3, 5, 6), (0.5, 5, 1)])
def test_epochs_are_rounded_up_to_whole_batches(samples, epochs, global_batch, steps):
    chosen = plan(samples, global_batch=global_batch, epochs=epochs)
    assert (chosen.steps, len(chosen.stream)) == (steps, steps * global_batch)


@pytest.mark.parametrize(
    ("length", "per_device", "accumulation"), [(100, 16, 1), (1000, 8, 2), (8192, 1, 16), (30000, 1, 16)]
)
def test_auto_per_device_batch_bounds_the_padded_tokens_of_a_forward_pass(samples, length, per_device, accumulation):
    chosen = plan(samples, global_batch=16, max_steps=1, length=length)
    assert (chosen.per_device_batch, chosen.accumulation) == (per_device, accumulation)
    assert chosen.effective_batch == 16


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        ([5, 6, END], [IGNORED] * 3, "no token is supervised"),
        ([5, 6, 7], [IGNORED, 6, 7], "not the end token"),
        ([5, 6, END], [IGNORED, 7, END], "loss mask is wrong"),
        ([5, 6, END], [IGNORED, IGNORED, 6, END], "one a token"),
        ([5, 6, END], [5, 6, END], "loss mask is wrong"),
        ([5, 6, 7, END], [5, IGNORED, 7, END], "loss mask is wrong"),
    ],
)
def test_a_wrong_loss_mask_is_an_error(ids, labels, message):
    with pytest.raises(ValueError, match=message):
        check_mask(SimpleNamespace(input_ids=ids, labels=labels), END)


def test_mask_comes_from_the_lengths_even_where_the_pad_token_is_the_end_token():
    batch = collate([example([5, 6, 7, END], 2), example([5, END], 1)], pad_id=END)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, END], [IGNORED, END, IGNORED, IGNORED]]
    assert batch["input_ids"].tolist() == [[5, 6, 7, END], [5, END, END, END]]


def test_every_sample_that_cannot_be_trained_on_is_named_at_once(samples, target):
    bad = [*samples, replace(samples[0], id="hollow", answer=" ")]
    with pytest.raises(ValueError, match=r"4 of 11 samples(.|\n)*s7(.|\n)*s8(.|\n)*s9(.|\n)*hollow"):
        encode(bad, target.chat(), max_length=24)


def test_labels_are_exactly_the_target(samples, target):
    chat = target.chat()
    encoded = encode(samples[:1], chat, max_length=None)[0]
    supervised = [token for token in encoded.labels if token != IGNORED]
    expected = f"{samples[0].reasoning} </think> {samples[0].answer} <end>"
    assert chat.tokenizer.decode(supervised).split() == expected.split()
