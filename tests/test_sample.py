import pytest

from dgr.sample import Sample, nested_subset, seed_for

SAMPLES = [Sample(f"source/{i:03d}", f"question {i}", "because", "no") for i in range(50)]


def test_smaller_subsets_are_prefixes_of_larger_ones():
    largest = nested_subset(SAMPLES, 50, seed=3)
    for n in (0, 1, 10, 49):
        assert nested_subset(SAMPLES, n, seed=3) == largest[:n]


def test_the_subset_depends_on_seed_and_ids_not_on_the_order_of_rows():
    assert nested_subset(SAMPLES, 10, seed=1) == nested_subset(SAMPLES[::-1], 10, seed=1)
    assert nested_subset(SAMPLES, 10, seed=1) != nested_subset(SAMPLES, 10, seed=2)


def test_more_than_there_is_names_the_size():
    with pytest.raises(ValueError, match="n_samples=51 but the dataset has 50"):
        nested_subset(SAMPLES, 51, seed=0)


def test_seeds_of_different_names_differ_and_stay_in_range():
    seeds = {seed_for(0, "generate", f"id {i}") for i in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(0, "a", "bc") != seed_for(0, "ab", "c")


def test_content_tells_samples_apart_by_every_field():
    assert Sample("1", "ab", "c", "d").content != Sample("1", "a", "bc", "d").content
    assert Sample("1", "a", "b", "c").content == Sample("1", "a", "b", "c").content
