"""Changes of weights: planted low ranks are found, in full checkpoints and in adapters."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dgr.probe.weights import changes, detail, effective_rank, module, parameters, singular_values, summary


def low_rank(rows, columns, rank, seed=0):
    """A matrix with `rank` singular values of 1."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, rank, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(columns, rank, generator=generator, dtype=torch.float64))[0]
    return left @ right.T


def test_the_effective_rank_is_that_of_roy_and_vetterli():
    assert effective_rank(np.array([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    assert effective_rank(np.array([1.0, 0.0])) == pytest.approx(1)
    assert effective_rank(np.zeros(4)) == 0
    shares = np.array([0.7, 0.2, 0.1])
    assert effective_rank(5 * shares) == pytest.approx(np.prod(shares**-shares))


@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
def test_singular_values_through_the_gram_matrix_are_the_matrix_s_own(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    assert np.allclose(singular_values(matrix), torch.linalg.svdvals(matrix.double()).numpy(), rtol=1e-6)


def test_a_planted_low_rank_change_is_recovered_by_module_and_in_total():
    names = [f"layers.{layer}.{name}.weight" for layer in range(2) for name in ("q_proj", "up_proj")]
    before = {name: torch.randn(40, 60, generator=torch.Generator().manual_seed(5)) for name in names}
    before["norm.weight"] = torch.ones(40)
    after = {name: tensor.clone() for name, tensor in before.items()}
    for number, name in enumerate(name for name in names if "q_proj" in name):
        after[name] = before[name].double() + low_rank(40, 60, 3, number)
    found = summary(changes(before, after))
    assert found["modules"]["q_proj"]["effective_rank"] == pytest.approx(6, rel=1e-3), "two matrices of rank 3"
    assert found["total"]["effective_rank"] == pytest.approx(6, rel=1e-3)
    assert found["modules"]["up_proj"] == {"relative_norm": 0, "effective_rank": 0, "full_rank": 80, "matrices": 2}
    assert found["modules"]["norm"]["effective_rank"] is None
    whole = sum(float(tensor.double().norm()) ** 2 for tensor in before.values()) ** 0.5
    assert found["total"]["relative_norm"] == pytest.approx(6**0.5 / whole, rel=1e-4)


def test_an_adapter_counts_as_the_change_that_it_makes(target, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(target.load_model("float32", placed=False), config)
    adapted.save_pretrained(tmp_path)
    pairs = {name: tensor.detach() for name, tensor in adapted.named_parameters() if "lora" in name}
    rows = changes(parameters(target), parameters(target.trained(tmp_path)))
    for row in rows:
        if module(row["name"]) != "q_proj":
            assert row["norm"] == 0
            continue
        down = next(tensor for name, tensor in pairs.items() if row["name"][:-7] in name and "lora_A" in name)
        up = next(tensor for name, tensor in pairs.items() if row["name"][:-7] in name and "lora_B" in name)
        assert row["norm"] == pytest.approx(float(3 * (up @ down).norm()), rel=1e-3), "scaled by alpha / rank"
        assert 1 < detail(row)["effective_rank"] < 2.1


def test_another_model_is_no_version_of_the_target(target):
    other = parameters(replace(target, path="embedded:plain"))
    other["extra"] = torch.zeros(2)
    with pytest.raises(ValueError, match="other weights than the target: extra"):
        changes(parameters(target), other)
