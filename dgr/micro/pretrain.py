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
from dgr.micro.architecture import new_model, optimizers, save
from dgr.micro.check import RECIPE_FILE, as_percent, measure, report
from dgr.micro.style import STYLES
from dgr.micro.tasks import LONGEST, Example, Mixture
from dgr.micro.tokenizer import ASSISTANT, BOS, END_THINK, EOS, THINK, USER, token_ids
from dgr.progress import progress

if TYPE_CHECKING:
    from transformers import Qwen3ForCausalLM

log = logging.getLogger(__name__)

POOL = 1500  # samples drawn together, so that batches can be made of equal lengths; also the unit of resuming
PROMPT_WEIGHT = 0.1  # loss weight of prompt tokens: reading is learned too, but the replies matter
MICRO_BATCHES = 3  # per step, each of another length: a length is nearly a task, and a step should see several
WARM_UP_STEPS = 100
CURRICULUM = 0.25  # share of the budget over which problems grow from three steps to their full length
SAVE_EVERY = 5  # pools between two saved states
DECAY_FROM = 0.55  # share of the budget after which the learning rate falls linearly to zero


@dataclass(frozen=True)
class Recipe:
    """What a base is made of. `tokens` is the budget; `out` the folder of the checkpoint.

    `matrix_learning_rate` is Muon's, for the weight matrices; `learning_rate` AdamW's, for embeddings and norms.
    """

    out: str
    seed: int = 0
    careful: bool = True
    declining: bool = True
    style: str = "own"
    tokens: int = 9_000_000
    batch_tokens: int = 2200
    learning_rate: float = 2.5e-3
    matrix_learning_rate: float = 6e-3
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
    return LONGEST if share >= CURRICULUM else 3 + int(share / CURRICULUM * (LONGEST - 3))


def pool(recipe: Recipe, number: int, longest: int, ids: dict[str, int]) -> list[list[tuple[list[int], int]]]:
    """Micro-batches of pool `number`: samples of nearly equal length, about `batch_tokens / MICRO_BATCHES` tokens."""
    rng = random.Random(f"pretrain {recipe.seed} {number}")
    mixture = recipe.mixture
    samples = sorted((encode(mixture.draw(rng, longest), ids) for _ in range(POOL)), key=lambda sample: len(sample[0]))
    batches: list[list[tuple[list[int], int]]] = [[]]
    for sample in samples:
        if batches[-1] and (len(batches[-1]) + 1) * len(sample[0]) > recipe.batch_tokens / MICRO_BATCHES:
            batches.append([])
        batches[-1].append(sample)
    rng.shuffle(batches)
    return batches


def backward(model: "Qwen3ForCausalLM", batches: list[list[tuple[list[int], int]]]) -> float:
    """Add the gradient of the mean next-token loss over all batches, prompt tokens weighted by PROMPT_WEIGHT."""
    import torch

    whole = sum(len(tokens) - (1 - PROMPT_WEIGHT) * n_prompt for batch in batches for tokens, n_prompt in batch)
    total = 0.0
    for batch in batches:
        longest = max(len(tokens) for tokens, _ in batch)
        inputs = torch.zeros(len(batch), longest, dtype=torch.long)
        weights = torch.zeros(len(batch), longest)
        for row, (tokens, n_prompt) in enumerate(batch):
            inputs[row, : len(tokens)] = torch.tensor(tokens)
            weights[row, :n_prompt] = PROMPT_WEIGHT
            weights[row, n_prompt : len(tokens)] = 1.0
        logits = model(input_ids=inputs[:, :-1]).logits
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), inputs[:, 1:].flatten(), reduction="none")
        loss = (losses * weights[:, 1:].flatten()).sum() / whole
        loss.backward()
        total += loss.item()
    return total


def rate(step: int, share: float) -> float:
    """Factor on the learning rate: warm-up, flat, then linear to zero when the whole budget is used."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, max(0.0, (1 - share) / (1 - DECAY_FROM)))


class Run:
    """A pretraining under way: model, optimizer and how far it is."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.model = new_model(recipe.seed)
        self.optimizers = optimizers(self.model, recipe.matrix_learning_rate, recipe.learning_rate)
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
        for (optimizer, _), saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.tokens, self.pools, self.losses = (state[name] for name in _PROGRESS)

    def save_state(self) -> None:
        import torch

        state: dict[str, Any] = {name: getattr(self, name) for name in _PROGRESS}
        state |= {"recipe": asdict(self.recipe), "model": self.model.state_dict()}
        state["optimizers"] = [optimizer.state_dict() for optimizer, _ in self.optimizers]
        with replacing(self.state_file) as temporary:
            torch.save(state, temporary)

    def train(self) -> Iterator[dict[str, float]]:
        """Train to the end of the budget; after every pool yields step, tokens and mean loss."""
        ids = token_ids()
        self.model.train()
        while self.tokens < self.recipe.tokens:
            longest = longest_problem(self.tokens / self.recipe.tokens)
            batches = pool(self.recipe, self.pools, longest, ids)
            steps = [batches[at : at + MICRO_BATCHES] for at in range(0, len(batches), MICRO_BATCHES)]
            total = sum(self._update(batches) for batches in steps)
            self.pools += 1
            self.losses.append({"step": self.step, "tokens": self.tokens, "loss": round(total / len(steps), 4)})
            yield self.losses[-1]

    def _update(self, batches: list[list[tuple[list[int], int]]]) -> float:
        """One step on the batches; returns their loss."""
        import torch

        factor = rate(self.step, self.tokens / self.recipe.tokens)
        for optimizer, peak in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
        loss = backward(self.model, batches)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, _ in self.optimizers:
            optimizer.step()
        self.step += 1
        self.tokens += sum(len(tokens) for batch in batches for tokens, _ in batch)
        return loss


_PROGRESS = ("step", "tokens", "pools", "losses")


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
