"""Work cut into batches that fit: an out-of-memory halves the batch, and what was finished before it stays finished."""

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

PHRASES = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA raises torch.OutOfMemoryError (a RuntimeError), the CPU's allocator a plain RuntimeError."""
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in PHRASES)


def in_batches(
    items: Iterable[Item],
    rows_for: Callable[[Item], int],
    work: Callable[[list[Item]], Iterator[list[tuple[Item, Result]]]],
) -> Iterator[list[tuple[Item, Result]]]:
    """Yield what `work` yields for batches of `items`, taken in their order.

    Sort the items longest first: `rows_for(longest)` is how many a batch that begins with it may hold. `work` yields
    groups of (item, result) as they finish. On an out-of-memory the unfinished items of the batch go back into the
    queue and no later batch is larger than half of it; MemoryError if a single item does not fit.
    """
    queue, largest = deque(items), None
    while queue:
        size = max(1, rows_for(queue[0]))
        batch = [queue.popleft() for _ in range(min(size, largest or size, len(queue)))]
        finished: set[int] = set()
        too_large = False
        try:
            for group in work(batch):
                finished.update(id(item) for item, _ in group)
                yield group
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise MemoryError(
                    "one sequence alone does not fit into memory; use a shorter max_new_tokens, a smaller dtype "
                    f"or a larger device ({error})"
                ) from error
            too_large = True
        if too_large:  # outside the except block: the error's traceback would keep the batch's tensors alive
            largest = max(1, len(batch) // 2)
            queue.extendleft(reversed([item for item in batch if id(item) not in finished]))
            log.warning("out of memory with %d sequences at once; going on with at most %d", len(batch), largest)
            _free()


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
