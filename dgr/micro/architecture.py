"""What a micro model is: a very small Qwen3, how it starts, how it is optimised, how it is saved."""

from pathlib import Path
from typing import TYPE_CHECKING

from dgr.micro.tokenizer import BOS, EOS, PAD, build_tokenizer, token_ids

if TYPE_CHECKING:
    import torch
    from transformers import Qwen3ForCausalLM

# Qwen3's normalised queries and keys, and weights that start larger than usual, let the attention heads that copy form
# early: with Llama's and the usual 0.02 this budget is too small for them.
ARCHITECTURE = {
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "initializer_range": 0.06,
}


def new_model(seed: int) -> "Qwen3ForCausalLM":
    """A model with random weights that depend on the seed."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    ids = token_ids()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=len(ids),
                max_position_embeddings=512,
                tie_word_embeddings=True,
                bos_token_id=ids[BOS],
                eos_token_id=ids[EOS],
                pad_token_id=ids[PAD],
                **ARCHITECTURE,
            )
        )


def optimizers(
    model: "Qwen3ForCausalLM", matrix_learning_rate: float, learning_rate: float
) -> "list[tuple[torch.optim.Optimizer, float]]":
    """Muon for the matrices inside the layers, AdamW for embeddings and norms; each with its peak learning rate."""
    import torch

    named = list(model.named_parameters())
    matrices = [weight for name, weight in named if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in named if weight.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=matrix_learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    return [(muon, matrix_learning_rate), (adamw, learning_rate)]


def save(model: "Qwen3ForCausalLM", folder: Path) -> None:
    """Write an ordinary checkpoint: weights, configuration, generation settings, tokenizer with chat template."""
    model.generation_config.update(do_sample=True, temperature=1.0, top_p=0.95, max_new_tokens=160)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner only; the checkpoint is package data
