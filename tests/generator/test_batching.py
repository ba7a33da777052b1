import pytest
import torch

from dgr.generator.batching import in_batches

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def runner(capacity, batches, error=CUDA):
    """Work that fits `capacity` items; a batch that is too large finishes its first item before it fails."""

    def work(batch):
        batches.append(list(batch))
        if len(batch) > capacity:
            yield [(batch[0], batch[0] * 10)]
            raise error
        yield [(item, item * 10) for item in batch]

    return work


def results(groups):
    return [pair for group in groups for pair in group]


def test_batches_are_as_large_as_their_first_item_allows():
    batches = []
    done = results(in_batches([9, 8, 3, 2, 1], lambda item: 12 // item, runner(99, batches)))
    assert batches == [[9], [8], [3, 2, 1]]
    assert done == [(item, item * 10) for item in (9, 8, 3, 2, 1)]


@pytest.mark.parametrize(
    "error",
    [
        CUDA,
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_batch_and_nothing_is_lost_or_done_twice(error):
    batches = []
    items = list(range(1000, 1020))
    done = results(in_batches(items, lambda item: 12, runner(3, batches, error)))
    assert sorted(done) == [(item, item * 10) for item in items]
    assert [len(batch) for batch in batches[:3]] == [12, 6, 3]
    assert all(len(batch) <= 3 for batch in batches[2:])


def test_a_single_item_that_does_not_fit_is_an_error_that_says_what_to_do():
    with pytest.raises(MemoryError, match="max_new_tokens"):
        results(in_batches([7], lambda item: 4, runner(0, [])))


def test_other_errors_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shape mismatch"):
        results(in_batches([1, 2], lambda item: 2, runner(1, [], RuntimeError("shape mismatch"))))
