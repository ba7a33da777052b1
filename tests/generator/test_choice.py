import pytest
import torch
from scipy import stats
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from dgr.generator import Sampling
from dgr.generator.choice import choose, uniform
from dgr.sample import seed_for

KEYS = torch.tensor([seed_for(0, "generate", f"r{i}") for i in range(400)])
LOGITS = torch.tensor([[1.7, 0.3, -0.4, 2.1, 0.9, -3.0, 1.2, 0.0]], dtype=torch.float64)


def warped(logits, sampling):
    """Probabilities after transformers' own warpers, in its order."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    return warpers(None, logits).softmax(-1)


def test_noise_is_uniform_along_keys_steps_and_tokens():
    numbers = torch.stack([uniform(KEYS, step, 50) for step in range(20)])  # step, key, token
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.01
    for axis in range(3):
        pairs = numbers.movedim(axis, 0)
        low = torch.corrcoef(torch.stack([pairs[:-1].flatten(), pairs[1:].flatten()]))[0, 1]
        assert abs(low) < 0.01, f"neighbours along axis {axis} are correlated"


def test_consecutive_keys_and_low_bits_are_as_good_as_any():
    numbers = uniform(torch.arange(2000), 0, 40)
    assert stats.kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.01
    low_bits = (numbers * 2**40).frac()
    assert stats.kstest(low_bits.flatten().numpy(), "uniform").pvalue > 0.01
    assert numbers.unique().numel() == numbers.numel()


def test_noise_of_a_row_does_not_depend_on_the_rows_beside_it():
    assert torch.equal(uniform(KEYS, 3, 30)[17:18], uniform(KEYS[17:18], 3, 30))
    assert not torch.equal(uniform(KEYS, 3, 30), uniform(KEYS, 4, 30))


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.6, top_p=0.95),
        Sampling(temperature=1.3, top_k=5),
        Sampling(temperature=0.8, top_k=6, top_p=0.7),
        Sampling(temperature=2.0, top_p=0.3),
    ],
)
def test_sampled_tokens_follow_the_warped_softmax(sampling):
    expected = warped(LOGITS, sampling)[0]
    drawn = torch.cat([choose(LOGITS.expand(len(KEYS), -1), sampling, KEYS, step) for step in range(50)])
    counts = torch.bincount(drawn, minlength=8)
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    if possible.sum() > 1:
        result = stats.chisquare(counts[possible].numpy(), (expected[possible] * len(drawn)).numpy())
        assert result.pvalue > 0.001


def test_the_support_is_that_of_the_warpers_on_random_logits():
    logits = 3 * torch.randn(300, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    keys = torch.arange(300)
    for sampling in (Sampling(0.7, 0.9), Sampling(1.0, 0.05), Sampling(1.0, 0.8, 10), Sampling(3.0, 0.99, 0)):
        allowed = warped(logits, sampling) > 0
        for step in range(20):
            tokens = choose(logits, sampling, keys, step)
            assert allowed.gather(1, tokens[:, None]).all()


def test_temperature_zero_takes_the_likeliest():
    assert choose(LOGITS, Sampling(), KEYS[:1], 0).tolist() == [3]


def test_the_likeliest_token_is_in_every_nucleus():
    drawn = choose(LOGITS.expand(len(KEYS), -1), Sampling(temperature=1.0, top_p=0.0), KEYS, 0)
    assert drawn.unique().tolist() == [3]


def test_logits_that_are_not_numbers_are_an_error():
    with pytest.raises(ValueError, match="NaN"):
        choose(torch.tensor([[0.0, float("nan")]]), Sampling(), KEYS[:1], 0)
    with pytest.raises(ValueError, match="NaN"):
        choose(torch.tensor([[0.0, float("nan")]]), Sampling(temperature=1.0), KEYS[:1], 0)
