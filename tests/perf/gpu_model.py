"""What the measurements of gpu.py share: the model, the config of a run, seconds and memory, and operations.

Operations are counted for the model, not for the implementation: 6 per weight and token in training, 4 where weights
are frozen, 2 in a forward pass, and causal attention.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # tiny_tokenizers

from hydra import compose, initialize_config_dir

from dgr.naming import conf_dir, register_resolvers

SHAPES: dict[str, dict[str, int]] = {
    "1.5b": {
        "vocab_size": 151_936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
    "tiny": {
        "vocab_size": 3000,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
SIZES = {  # prompts, new tokens, mean tokens of a reply, texts scored, entries of the tokenizer
    "1.5b": {"prompts": 256, "new": 256, "mean": 128, "texts": 400, "tokens": 32_000},
    "tiny": {"prompts": 16, "new": 24, "mean": 12, "texts": 24, "tokens": 1000},
}


def point(spec: dict[str, Any], *overrides: str) -> Any:
    """The config of a run with the model that is measured."""
    register_resolvers()
    chosen = ["model=r1_qwen_1_5b", f"model.path={spec['model']}", "model.revision=null", "data=star1"]
    chosen += [f"data.path={spec['data']}", "refine=vanilla", "evaluation=none", f"trainer.max_steps={spec['steps']}"]
    chosen += ["trainer.epochs=null", f"trainer.global_batch={spec['batch']}", "trainer.save_steps=1000"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=[*chosen, *overrides])


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def timed(work: Callable[[], Any]) -> tuple[Any, float, int | None]:
    """Result, seconds, and the bytes that were allocated on the device at most."""
    import torch

    if on_gpu():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = work()
    if on_gpu():
        torch.cuda.synchronize()
    return result, time.perf_counter() - began, torch.cuda.max_memory_allocated() if on_gpu() else None


def weights_of(model: str) -> dict[str, int]:
    """Numbers of weights in matrix products: in the layers, and in the output head; what attention multiplies with."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 2 * config.hidden_size * size * (config.num_attention_heads + config.num_key_value_heads)
    layer = attention + 3 * config.hidden_size * config.intermediate_size
    return {
        "layers": config.num_hidden_layers * layer,
        "head": config.vocab_size * config.hidden_size,
        "attention": config.num_hidden_layers * config.num_attention_heads * size,
    }


def operations(model: str, lengths: list[int], predicted: int, each: int) -> float:
    """Of forward passes over texts (`each` 2), with their backward passes (6), or with frozen weights (4)."""
    sizes = weights_of(model)
    through = {2: 1, 4: 3, 6: 3}[each]  # attention has no weights to freeze
    causal = 2 * sizes["attention"] * sum(length**2 for length in lengths)
    return each * (sizes["layers"] * sum(lengths) + sizes["head"] * predicted) + through * causal


def machine(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the device is, operations a second of a large product in bf16, and a model, where none was given."""
    if not Path(spec["model"]).exists():
        make_model(spec)
    sizes = weights_of(spec["model"])
    return {"weights": sizes["layers"] + sizes["head"]} | matmul()


def make_model(spec: dict[str, Any]) -> None:
    """A checkpoint with random weights, and a tokenizer made from the texts: 4 to 5 characters a token."""
    import torch
    from tiny_tokenizers import tiny
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape, sizes = SHAPES[spec["shape"]], SIZES[spec["shape"]]
    rows = json.loads(Path(spec["data"]).read_text(encoding="utf-8-sig"))
    tokenizer = tiny("r1").train_new_from_iterator((f"{r['question']}\n{r['response']}" for r in rows), sizes["tokens"])
    tokenizer.chat_template = tiny("r1").chat_template
    torch.manual_seed(0)
    config = Qwen2Config(
        **shape,
        tie_word_embeddings=True,
        max_position_embeddings=131_072,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.device("cuda" if on_gpu() else "cpu"):
        model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    # So many tokens end a text that random ones end after `mean` tokens on average: else all would be equally long.
    ends = range(shape["vocab_size"] - shape["vocab_size"] // sizes["mean"], shape["vocab_size"])
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *ends]
    model.save_pretrained(spec["model"])
    tokenizer.save_pretrained(spec["model"])


def matmul() -> dict[str, Any]:
    """Operations a second of one large product of random matrices in bf16; the median of 20."""
    import torch

    size, device = (8192, "cuda") if on_gpu() else (512, "cpu")
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = [timed(lambda: one @ other)[1] for _ in range(23)][3:]
    if on_gpu():
        seconds = []
        for _ in range(20):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            one @ other
            end.record()
            torch.cuda.synchronize()
            seconds.append(begin.elapsed_time(end) / 1000)
    found = {"matmul": 2 * size**3 / statistics.median(seconds), "size": size, "torch": torch.__version__}
    return found | {"device": torch.cuda.get_device_name() if on_gpu() else "cpu"}
