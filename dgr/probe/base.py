"""The untouched target's states on the requests, and what follows from them: made when something is missing, once."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dgr.files import replacing
from dgr.generator import STOP, Request, Sampling
from dgr.probe import weights
from dgr.probe.direction import HARM, contrasts, spread, unit
from dgr.probe.intervals import rounded
from dgr.probe.requests import TRAIN
from dgr.probe.states import THINKING_END, states
from dgr.sample import digest
from dgr.store import Journal

if TYPE_CHECKING:
    from dgr.probe.measure import Probe


class Base:
    """Everything is computed when it is first asked for."""

    def __init__(self, probe: "Probe") -> None:
        self.probe, self.items = probe, probe.items
        self.prompts = [item.prompt for item in self.items]
        self.harmful = np.array([item.harmful for item in self.items])
        self.train = np.array([item.split == TRAIN for item in self.items])

    @cached_property
    def states(self) -> dict[str, np.ndarray]:
        wanted = dict.fromkeys([*self.probe.linear.positions, self.probe.direction.position])
        before = [position for position in wanted if position != THINKING_END]
        return states(self.probe.target, self.prompts, before)

    @cached_property
    def thinking_end(self) -> np.ndarray:
        """States where the target's own reply closes its think block; nan where it never does."""
        replies = self._replies()
        closed = [number for number, reply in enumerate(replies) if reply is not None]
        shape = next(iter(self.states.values())).shape
        found = np.full(shape, np.nan, np.float32)
        if closed:
            prompts, texts = [self.prompts[i] for i in closed], [replies[i] for i in closed]
            found[closed] = states(self.probe.target, prompts, [THINKING_END], texts)[THINKING_END]
        return found

    def _replies(self) -> list[str | None]:
        """The target's greedy reply to each request, None without exactly one closed think block."""
        probe, chat = self.probe, self.probe.target.chat()
        requests = [Request(item.id, chat.render_prompt(item.prompt), item.prompt) for item in self.items]
        sampling = Sampling(max_new_tokens=Sampling(**probe.target.sampling).max_new_tokens)
        journal = Journal(probe.folder / "probe" / f"replies-{digest(probe.key, sampling, length=8)}.jsonl")
        replies = probe.generator.generate(probe.target, requests, sampling, probe.seed, journal)
        found: list[str | None] = []
        for request in requests:
            reply = replies[request.id]
            split = chat.split(request.prompt, reply.text)
            usable = reply.finish_reason == STOP and split.closed and split.blocks == 1
            found.append(reply.text if usable else None)
        return found

    def linear(self) -> dict[str, Any]:
        there = dict(self.states)
        if THINKING_END in self.probe.linear.positions:
            there[THINKING_END] = self.thinking_end
        found, scores = self.probe.linear.measure(self.items, there, self.probe.seed)
        return {**found, "scores": {name: [rounded(value) for value in column] for name, column in scores.items()}}

    @cached_property
    def choice(self) -> tuple[int, list[float]]:
        return self.probe.direction.choose(self.items, self.states[self.probe.direction.position])

    @property
    def layer(self) -> int:
        return self.choice[0]

    @cached_property
    def chosen(self) -> np.ndarray:
        """The states at the direction's position and layer."""
        return self.states[self.probe.direction.position][:, self.layer]

    @cached_property
    def directions(self) -> dict[str, np.ndarray]:
        """Differences of means by name; harm is the first."""
        position, instructed = self.probe.direction.position, {}
        for name, instruction in self.probe.requests.instructions.items():
            prompts = [instruction + prompt for prompt in self.prompts]
            instructed[name] = states(self.probe.target, prompts, [position])[position][:, self.layer]
        return contrasts(self.items, self.chosen, instructed)

    @cached_property
    def interventions(self) -> dict[str, np.ndarray]:
        """Harm and what the instructions change, both as long as harm."""
        length = np.linalg.norm(self.directions[HARM])
        names = [HARM, *self.probe.requests.instructions]
        return {name: length * unit(self.directions[name]) for name in names}

    @cached_property
    def spread(self) -> np.ndarray:
        return spread(self.items, self.chosen, self.probe.seed)

    @cached_property
    def weights(self) -> dict[str, Any]:
        return weights.parameters(self.probe.target)

    def direction_numbers(self) -> dict[str, Any]:
        harm = self.directions[HARM]
        lengths = np.linalg.norm(self.chosen[self.train].astype(float), axis=1)
        return {
            "position": self.probe.direction.position,
            "layer": self.layer,
            "width": len(harm),
            "length": rounded(np.linalg.norm(harm)),
            "state_length": rounded(lengths.mean()),
            "separation": [rounded(value) for value in self.choice[1]],
            "cosines": {
                name: rounded(unit(vector) @ unit(harm)) for name, vector in self.directions.items() if name != HARM
            },
            "lengths": {name: rounded(np.linalg.norm(vector)) for name, vector in self.directions.items()},
            "projections": [rounded(value) for value in self.chosen @ unit(harm)],
        }

    def save(self, path: Path) -> None:
        """The directions by name, for a program of the user's own."""
        from safetensors.numpy import save_file

        with replacing(path) as temporary:
            vectors = {name: vector.astype(np.float32) for name, vector in self.directions.items()}
            save_file(vectors, temporary, {"key": self.probe.key})  # several entries would come in any order
