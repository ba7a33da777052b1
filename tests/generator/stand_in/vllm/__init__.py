"""A stand-in for vLLM's package: the part of its interface that is used, answering with noise from the seed.

It writes what it was started with and asked for into $STAND_IN_LOG, a file for each process. Environment variables
make it fail: STAND_IN_DIES (after that many replies), STAND_IN_FAILS (at the start).
"""

import json
import os
import random
from dataclasses import asdict, dataclass, field
from typing import TypedDict

from vllm.sampling_params import RequestOutputKind

VOCABULARY = range(20, 60)


def note(**what):
    with open(os.path.join(os.environ["STAND_IN_LOG"], str(os.getpid())), "a") as file:
        file.write(json.dumps(what) + "\n")


class TokensPrompt(TypedDict):
    prompt_token_ids: list[int]


@dataclass
class EngineArgs:
    model: str
    revision: str | None = None
    tokenizer_revision: str | None = None
    trust_remote_code: bool = False
    dtype: str = "auto"
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    enable_prefix_caching: bool | None = None
    max_num_seqs: int | None = None
    max_model_len: int | None = None
    disable_log_stats: bool = False
    generation_config: str = "auto"
    seed: int = 0
    enable_lora: bool = False
    max_loras: int = 1
    max_lora_rank: int = 16


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int = 16
    stop_token_ids: list[int] | None = None
    detokenize: bool = True
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE


@dataclass
class CompletionOutput:
    token_ids: list[int]
    finish_reason: str
    index: int = 0
    text: str = ""


@dataclass
class RequestOutput:
    request_id: str
    outputs: list[CompletionOutput]
    finished: bool = True


@dataclass
class LLMEngine:
    arguments: EngineArgs
    waiting: list = field(default_factory=list)
    replied: int = 0

    @classmethod
    def from_engine_args(cls, arguments):
        if "STAND_IN_FAILS" in os.environ:
            raise ValueError("No available memory for the cache blocks.\nTry more.")
        note(started=asdict(arguments), devices=os.environ["CUDA_VISIBLE_DEVICES"])
        return cls(arguments)

    def add_request(self, request_id, prompt, params, arrival_time=None, lora_request=None):
        assert set(prompt) == {"prompt_token_ids"}
        assert isinstance(params.seed, int)
        lora = lora_request and [lora_request.lora_name, lora_request.lora_int_id, lora_request.lora_path]
        shown = {**asdict(params), "output_kind": params.output_kind.name}
        note(asked=request_id, prompt=prompt["prompt_token_ids"], params=shown, lora=lora)
        self.waiting.append((request_id, prompt["prompt_token_ids"], params))

    def has_unfinished_requests(self):
        return bool(self.waiting)

    def step(self):
        """Two requests a step finish; the prompt and the seed decide what is written, nothing else does."""
        outputs = []
        for request_id, prompt, params in self.waiting[:2]:
            if self.replied == int(os.environ.get("STAND_IN_DIES", -1)):
                os._exit(7)
            noise = random.Random(f"{prompt} {params.seed if params.temperature else 0}")
            ids = noise.choices(VOCABULARY, k=noise.randint(1, 30))
            reason = "stop" if len(ids) < params.max_tokens else "length"
            ids = [*ids, params.stop_token_ids[0]] if reason == "stop" else ids[: params.max_tokens]
            outputs.append(RequestOutput(request_id, [CompletionOutput(ids, reason)]))
            self.replied += 1
        self.waiting = self.waiting[2:]
        return outputs
