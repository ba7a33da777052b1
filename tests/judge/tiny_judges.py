"""Tiny checkpoints whose tokenizers hold the control tokens of the judges' families."""

from pathlib import Path

HERE = Path(__file__).parent
TOKENS = ["<pad>", "<s>", "</s>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
WILDGUARD_SAYS = "Harmful request: no\nResponse refusal: yes\nHarmful response: no"


def make_checkpoint(folder: Path, teach: str | None = None, prompt: str = "") -> Path:
    """A byte-level Llama of two layers, random, or trained until it answers `prompt` with `teach` and the end token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: index for index, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(TOKENS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )  # as the real ones: a BOS in front of every text that is tokenised with special tokens
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(fast), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=4096, bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id,
            pad_token_id=fast.pad_token_id,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        if teach is not None:
            _teach(model, fast, prompt, teach)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def _teach(model, tokenizer, prompt: str, reply: str) -> None:
    import torch

    torch.set_num_threads(1)
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = [*tokenizer(reply, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ids = torch.tensor([before + after])
    labels = torch.tensor([[-100] * len(before) + after])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(200):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.01:
            return
    raise AssertionError(f"the tiny judge did not learn its one reply (loss {loss.item():.3f})")
