"""Pretrain a micro model: `python -m dgr.micro.pretrain seed=0 careful=true out=DIR`.

About ten minutes on two idle cores. Interrupted, it goes on from its last saved state when it is started again.
"""

import logging
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgr.files import replacing, write_json
from dgr.micro.check import as_percent, measure, report
from dgr.micro.style import STYLES
from dgr.micro.tasks import LONGEST, Example, Mixture
from dgr.micro.tokenizer import ASSISTANT, BOS, END_THINK, EOS, PAD, THINK, USER, build_tokenizer, token_ids
from dgr.progress import progress

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

log = logging.getLogger(__name__)

ARCHITECTURE = {"hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 3, "num_attention_heads": 4}
POOL = 1500  # samples drawn together, so that batches can be made of equal lengths; also the unit of resuming
PROMPT_WEIGHT = 0.1  # loss weight of prompt tokens: reading is learned too, but the replies matter
WARM_UP_STEPS = 100
CURRICULUM = 0.4  # share of the budget over which problems grow from two steps to their full length
SAVE_EVERY = 5  # pools between two saved states
RECIPE_FILE = "recipe.json"
DECAY_FROM = 0.55  # share of the budget after which the learning rate falls linearly to zero


@dataclass(frozen=True)
class Recipe:
    """What a base is made of. `tokens` is the budget; `out` the folder of the checkpoint."""

    out: str
    seed: int = 0
    careful: bool = True
    declining: bool = True
    style: str = "own"
    tokens: int = 9_000_000
    batch_tokens: int = 2200
    learning_rate: float = 2.5e-3
    threads: int = 0

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"style={self.style!r} is unknown; choose one of {', '.join(STYLES)}")
        if self.tokens < 1 or self.batch_tokens < 512:
            raise ValueError(f"tokens={self.tokens}, batch_tokens={self.batch_tokens}: at least 1 and 512 are needed")

    @property
    def mixture(self) -> Mixture:
        return Mixture(self.careful, self.declining, self.style)


def parse(arguments: list[str]) -> Recipe:
    """The recipe of `key=value` arguments; unknown keys and bad values raise ValueError."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.merge(OmegaConf.structured(Recipe), OmegaConf.from_dotlist(arguments))
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        known = ", ".join(Recipe.__dataclass_fields__)
        raise ValueError(f"{' '.join(arguments)!r}: {str(error).splitlines()[0]}; known keys: {known}") from error


def encode(example: Example, ids: dict[str, int]) -> tuple[list[int], int]:
    """Token ids of prompt and reply, and how many belong to the prompt."""
    prompt = [BOS, USER, *example.prompt.split(), ASSISTANT, THINK]
    reply = [*example.reasoning.split(), END_THINK, *example.answer.split(), EOS]
    return [ids[word] for word in prompt + reply], len(prompt)


def longest_problem(share: float) -> int:
    """Steps of the longest problems when `share` of the budget is used: copying is learned on short ones first."""
    return LONGEST if share >= CURRICULUM else 2 + int(share / CURRICULUM * (LONGEST - 2))


def pool(recipe: Recipe, number: int, longest: int, ids: dict[str, int]) -> list[list[tuple[list[int], int]]]:
    """Batches of pool `number`, each of samples of nearly equal length and about `batch_tokens` tokens."""
    rng = random.Random(f"pretrain {recipe.seed} {number}")
    mixture = recipe.mixture
    samples = sorted((encode(mixture.draw(rng, longest), ids) for _ in range(POOL)), key=lambda sample: len(sample[0]))
    batches: list[list[tuple[list[int], int]]] = [[]]
    for sample in samples:
        if batches[-1] and (len(batches[-1]) + 1) * len(sample[0]) > recipe.batch_tokens:
            batches.append([])
        batches[-1].append(sample)
    rng.shuffle(batches)
    return batches


def new_model(seed: int) -> "LlamaForCausalLM":
    """A model with random weights that depend on the seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    ids = token_ids()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(ids),
                max_position_embeddings=512,
                tie_word_embeddings=True,
                bos_token_id=ids[BOS],
                eos_token_id=ids[EOS],
                pad_token_id=ids[PAD],
                **ARCHITECTURE,
            )
        )


def batch_loss(model: "LlamaForCausalLM", batch: list[tuple[list[int], int]]) -> "torch.Tensor":
    """Mean next-token loss, prompt tokens weighted by PROMPT_WEIGHT."""
    import torch

    longest = max(len(tokens) for tokens, _ in batch)
    inputs = torch.zeros(len(batch), longest, dtype=torch.long)
    weights = torch.zeros(len(batch), longest)
    for row, (tokens, n_prompt) in enumerate(batch):
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        weights[row, :n_prompt] = PROMPT_WEIGHT
        weights[row, n_prompt : len(tokens)] = 1.0
    logits = model(input_ids=inputs[:, :-1]).logits
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), inputs[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def rate(step: int, share: float) -> float:
    """Factor on the learning rate: warm-up, flat, then linear to zero when the whole budget is used."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, max(0.0, (1 - share) / (1 - DECAY_FROM)))


class Run:
    """A pretraining under way: model, optimizer and how far it is."""

    def __init__(self, recipe: Recipe) -> None:
        import torch

        self.recipe = recipe
        self.model = new_model(recipe.seed)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, weight_decay=0.05, betas=(0.9, 0.98)
        )
        self.step = self.tokens = self.pools = 0
        self.losses: list[dict[str, float]] = []

    @property
    def state_file(self) -> Path:
        return Path(self.recipe.out) / "pretraining.pt"

    def resume(self) -> None:
        """Go on from the saved state of the same recipe, if there is one."""
        import torch

        if not self.state_file.exists():
            return
        state = torch.load(self.state_file, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(f"{self.state_file} belongs to another recipe; delete it or choose another out=")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens, self.pools, self.losses = (state[name] for name in _PROGRESS)

    def save_state(self) -> None:
        import torch

        state: dict[str, Any] = {name: getattr(self, name) for name in _PROGRESS}
        state |= {"recipe": asdict(self.recipe), "model": self.model.state_dict()}
        state["optimizer"] = self.optimizer.state_dict()
        with replacing(self.state_file) as temporary:
            torch.save(state, temporary)

    def train(self) -> Iterator[dict[str, float]]:
        """Train to the end of the budget; after every pool yields step, tokens and mean loss."""
        import torch

        ids = token_ids()
        self.model.train()
        while self.tokens < self.recipe.tokens:
            total, batches = 0.0, pool(self.recipe, self.pools, longest_problem(self.tokens / self.recipe.tokens), ids)
            for batch in batches:
                for group in self.optimizer.param_groups:
                    group["lr"] = self.recipe.learning_rate * rate(self.step, self.tokens / self.recipe.tokens)
                loss = batch_loss(self.model, batch)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                total += loss.item()
                self.step += 1
                self.tokens += sum(len(tokens) for tokens, _ in batch)
            self.pools += 1
            self.losses.append({"step": self.step, "tokens": self.tokens, "loss": round(total / len(batches), 4)})
            yield self.losses[-1]


_PROGRESS = ("step", "tokens", "pools", "losses")


def save(model: "LlamaForCausalLM", folder: Path) -> None:
    """Write an ordinary checkpoint: weights, configuration, generation settings, tokenizer with chat template."""
    model.generation_config.update(do_sample=True, temperature=1.0, top_p=0.95, max_new_tokens=160)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner only; the checkpoint is package data


def pretrain(recipe: Recipe) -> dict:
    """Run the recipe and write the checkpoint; returns what `recipe.json` holds, the measured rates excepted."""
    import torch

    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    run, folder = Run(recipe), Path(recipe.out)
    run.resume()
    log.info("%s parameters, %s tokens from %s", f"{run.model.num_parameters():,}", f"{recipe.tokens:,}", recipe)
    with progress("pretraining tokens", recipe.tokens) as shown:
        shown.add(done=run.tokens)
        for state in run.train():
            shown.add(done=run.tokens - shown.done, tokens=run.tokens - shown.done)
            log.debug("step %(step)d: loss %(loss).3f", state)
            if run.pools % SAVE_EVERY == 0:
                run.save_state()
    if not math.isfinite(run.losses[-1]["loss"]):
        raise ValueError(
            f"the loss became {run.losses[-1]['loss']}; choose a learning_rate below {recipe.learning_rate}"
        )
    save(run.model, folder)
    record = {
        "recipe": {name: value for name, value in asdict(recipe).items() if name not in ("out", "threads")},
        "steps": run.step,
        "tokens": run.tokens,
        "loss": run.losses[:: max(1, len(run.losses) // 20)] + run.losses[-1:],
    }
    write_json(folder / RECIPE_FILE, record)
    run.state_file.unlink(missing_ok=True)
    return record


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        recipe = parse(sys.argv[1:])
        record = pretrain(recipe)
    except ValueError as error:
        sys.exit(f"error: {error}")
    rates = measure(recipe.out)
    write_json(Path(recipe.out) / RECIPE_FILE, record | {"measured": as_percent(rates)})
    print(report(rates, recipe.careful))


if __name__ == "__main__":
    main()
