import random
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from dgr.training.batches import IGNORED, check_mask, encode, plan_batches
from dgr.training.passes import cut

END = 1


def plan(samples, seed=0, global_batch=4, epochs=None, max_steps=None, processes=1):
    divide = partial(cut, processes=processes, per_device_batch="auto", tokens_per_pass=8192, packing=False)
    return plan_batches(samples, [10] * len(samples), seed, global_batch, epochs, max_steps, divide)


def test_order_depends_on_the_seed_and_the_ids_only(samples):
    shuffled = random.Random(1).sample(samples, len(samples))
    ids = [samples[i].id for i in plan(samples, max_steps=20).stream]
    assert ids == [shuffled[i].id for i in plan(shuffled, max_steps=20).stream]
    assert ids == [samples[i].id for i in plan(samples, max_steps=20, processes=2).stream]
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
