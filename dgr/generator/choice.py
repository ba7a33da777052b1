"""Which token comes next: greedy, or sampled with noise that depends on the request's seed, the step and the token.

Exact sampling as an exponential race (the Gumbel-max trick in another dress): with E_v independent and exponentially
distributed, argmax_v p_v / E_v is v with probability p_v. The E_v come from a counter-based generator instead of a
stateful one, so a reply does not depend on its batch, and the chosen token is nearly always the same where two
machines disagree in the last bits of p.
"""

import torch

from dgr.generator import Sampling


def _signed(value: int) -> int:
    """The int64 with the same 64 bits."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


GOLDEN = 0x9E3779B97F4A7C15  # the increment of splitmix64 (Steele, Lea, Flood 2014), whose mixer `_mix` is
MIX_1, MIX_2 = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift to the right; int64's own shift copies the sign."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Scramble each int64 so that every input bit flips every output bit with probability 1/2."""
    x = (x ^ _shifted(x, 30)).mul_(MIX_1)
    x = x.bitwise_xor_(_shifted(x, 27)).mul_(MIX_2)
    return x.bitwise_xor_(_shifted(x, 31))


def uniform(keys: torch.Tensor, step: int, size: int) -> torch.Tensor:
    """Numbers strictly between 0 and 1, shape (len(keys), size), float64: a function of key, step and column."""
    streams = _mix(keys + _signed(step * GOLDEN))
    columns = torch.arange(1, size + 1, device=keys.device).mul_(_signed(GOLDEN))
    bits = _shifted(_mix(streams[:, None] + columns), 12)  # 52 bits: adding a half is still exact
    return bits.double().add_(0.5).mul_(2.0**-52)


def choose(logits: torch.Tensor, sampling: Sampling, keys: torch.Tensor, step: int) -> torch.Tensor:
    """The next token of each row, shape (rows,); `logits` has shape (rows, vocabulary), `keys` (rows,) in int64.

    Temperature, then top-k, then top-p, as transformers' warpers do it. ValueError where the logits are not numbers.
    """
    if sampling.temperature == 0:
        p = logits
        tokens = p.argmax(-1)
    else:
        p = probabilities(logits, sampling)
        race = p / uniform(keys, step, p.shape[1]).log_().neg_()
        tokens = _winner_in_nucleus(race, p, sampling.top_p)
    if p.gather(1, tokens[:, None]).isnan().any():
        raise ValueError("the model's logits are not numbers (NaN): its dtype is too small for it; set model.dtype")
    return tokens


def probabilities(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Probabilities after temperature and top-k, in float64; tokens as likely as the k-th stay."""
    scores = logits.double() / sampling.temperature
    if 0 < sampling.top_k < scores.shape[1]:
        kth = scores.topk(sampling.top_k).values[:, -1:]
        scores = scores.masked_fill(scores < kth, float("-inf"))
    return scores.softmax(-1)


def _winner_in_nucleus(race: torch.Tensor, p: torch.Tensor, top_p: float) -> torch.Tensor:
    """The winner of the race among the nucleus: the tokens above which less than `top_p` of the probability lies.

    No sort over the vocabulary: only the winner is checked, and where it lies outside, everything that is as unlikely
    or less leaves the race and the next one is checked.
    """
    top_p = max(top_p, 1e-300)  # nothing lies above the likeliest token: it is always inside
    winner = race.argmax(-1, keepdim=True)
    while top_p < 1:
        bar = p.gather(1, winner)
        outside = (p * (p > bar)).sum(-1, keepdim=True) >= top_p
        if not outside.any():
            break
        race = race.masked_fill(outside & (p <= bar), 0)
        winner = race.argmax(-1, keepdim=True)
    return winner[:, 0]
