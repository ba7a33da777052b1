"""Replies by vLLM on this machine's GPUs: an engine a GPU, each a process of its own, resumable."""

import logging
import math
import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dgr.files import read_json
from dgr.generator import Reply, Request, Sampling
from dgr.generator.loaded import declared_context, kept, release
from dgr.generator.resume import Keep, resumed
from dgr.generator.rows import stop_tokens, to_reply, to_rows
from dgr.model import TargetModel
from dgr.progress import progress
from dgr.store import Journal

if TYPE_CHECKING:
    from dgr.generator.engine import Engine, Engines

log = logging.getLogger(__name__)

INSTALL = "generator=vllm: vLLM is not installed: pip install 'dgr[vllm]' (it needs an NVIDIA GPU), or use generator=hf"
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM makes room for
DTYPES = ("auto", "bfloat16", "float16", "float32")
AUTO = "auto"
WEIGHTS_SHARE = 0.5  # of the memory that an engine takes; the rest is its cache


@dataclass(frozen=True)
class VLLM:
    """Data parallel: an engine on each `tensor_parallel` GPUs, the requests split between them.

    `auto` is one GPU an engine, or as many (1, 2, 4, ...) as the weights need to fit beside as large a cache. An engine
    takes `gpu_memory_utilization` of a GPU's memory, decodes up to `max_num_seqs` requests at once, and stays until
    another model is asked for, by any generator, or the stage's process ends. `max_model_len` bounds prompt and reply
    together (None: the model's limit).
    """

    name: str
    tensor_parallel: int | str
    gpu_memory_utilization: float
    prefix_caching: bool
    max_num_seqs: int
    max_model_len: int | None
    speed_only: ClassVar[tuple[str, ...]] = (
        "tensor_parallel",
        "gpu_memory_utilization",
        "prefix_caching",
        "max_num_seqs",
    )

    def fingerprint(self) -> str:
        """What of this generator can change a reply: that it is this one, and where a reply is cut."""
        return f"vllm {self.max_model_len}"

    def problems(self) -> list[str]:
        found = [] if find_spec("vllm") else [INSTALL]
        if self.tensor_parallel != AUTO and (not isinstance(self.tensor_parallel, int) or self.tensor_parallel < 1):
            found.append(f"generator.tensor_parallel={self.tensor_parallel}: choose {AUTO} or a number of at least 1")
        if self.max_num_seqs < 1:
            found.append(f"generator.max_num_seqs={self.max_num_seqs}: must be at least 1")
        if not 0 < self.gpu_memory_utilization <= 1:
            found.append(f"generator.gpu_memory_utilization={self.gpu_memory_utilization}: above 0 and at most 1")
        if self.max_model_len is not None and self.max_model_len < 1:
            found.append(f"generator.max_model_len={self.max_model_len}: must be at least 1, or null")
        return found

    def generate(
        self, target: TargetModel, requests: list[Request], sampling: Sampling, seed: int, journal: Journal
    ) -> dict[str, Reply]:
        """Replies by request id, in the order of the requests; those in the journal are not made again.

        Raises ValueError where the model or the machine does not fit vLLM, RuntimeError where an engine fails.
        """

        def make(missing: list[Request], keep: Keep) -> None:
            chat, (context, settings) = target.chat(), _declared(target)
            rows = to_rows(missing, chat, sampling, seed, self.max_model_len or context)
            by_id = {row.id: row for row in rows}
            with progress("replies", len(rows)) as shown:
                for group in self._answer(target, rows, sampling, stop_tokens(settings, chat)):
                    keep([to_reply(by_id[row_id], written, chat) for row_id, written in group])
                    shown.add(done=len(group), tokens=sum(len(written.ids) for _, written in group))

        return resumed(requests, journal, make)

    def _answer(self, target: TargetModel, rows: list, sampling: Sampling, stop_ids: list[int]):
        """Groups of what the engines write; where that fails or is given up, the engines are gone."""
        try:
            yield from self._engines(target).answer(rows, sampling, stop_ids)
        except BaseException:
            release()
            raise

    def _engines(self, target: TargetModel) -> "Engines":
        from dgr.generator.engine import Engines

        if not find_spec("vllm"):
            raise ValueError(INSTALL)
        visible = visible_devices()
        size = self.gpus_for(target) if visible and self.tensor_parallel == AUTO else self.tensor_parallel
        fixed = replace(self, tensor_parallel=1 if size == AUTO else size)
        devices, engine = fixed.device_groups(visible), fixed.engine(target)
        return kept(f"vllm {target.fingerprint()} {fixed} {devices}", lambda: Engines(engine, devices))

    def gpus_for(self, target: TargetModel) -> int:
        """How many GPUs hold the weights in WEIGHTS_SHARE of their use; a power of two, as attention heads want it."""
        room = device_memory() * self.gpu_memory_utilization * WEIGHTS_SHARE
        return 2 ** max(0, math.ceil(math.log2(weight_bytes(target) / room)))

    def device_groups(self, devices: list[str]) -> list[str]:
        """The GPUs of each engine, as CUDA_VISIBLE_DEVICES names them; GPUs that fill no group stay unused."""
        size = self.tensor_parallel
        if len(devices) < size:
            raise ValueError(
                f"generator=vllm needs {size} GPU(s) for one engine (generator.tensor_parallel), {len(devices)} are "
                "visible; use more or larger GPUs, or generator=hf"
            )
        groups = [",".join(devices[first : first + size]) for first in range(0, len(devices) - size + 1, size)]
        log.info("vLLM: %d engine(s) on %d GPU(s) each", len(groups), size)
        return groups

    def engine(self, target: TargetModel) -> "Engine":
        """vLLM's arguments for a target; ValueError for one that vLLM cannot run as it is."""
        from dgr.generator.engine import Engine

        if target.dtype not in DTYPES:
            raise ValueError(f"model.dtype={target.dtype}: vLLM has none; choose one of {', '.join(DTYPES)}")
        arguments: dict[str, Any] = {
            "model": target.location,
            "revision": target.revision,
            "tokenizer_revision": target.revision,
            "trust_remote_code": target.trust_remote_code,
            "dtype": target.dtype,
            "tensor_parallel_size": self.tensor_parallel,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "enable_prefix_caching": self.prefix_caching,
            "max_num_seqs": self.max_num_seqs,
            "max_model_len": self.max_model_len,
            "disable_log_stats": True,
            "generation_config": "vllm",  # not the checkpoint's: sampling is the run's
            "seed": 0,
        }
        if target.adapter:
            arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": lora_rank(Path(target.adapter))}
        return Engine(arguments, target.adapter)


def lora_rank(adapter: Path) -> int:
    """The smallest rank that vLLM makes room for and the adapter fits into."""
    config = read_json(adapter / "adapter_config.json")
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    if config.get("use_dora") or config.get("modules_to_save") or rank > RANKS[-1]:
        raise ValueError(
            f"adapter {adapter}: vLLM runs plain LoRA up to rank {RANKS[-1]} only, without DoRA or modules_to_save; "
            "use generator=hf"
        )
    return next(size for size in RANKS if size >= rank)


def visible_devices() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()  # asks the driver's library: no CUDA context is made in this process
    return named.split(",")[:count] if named else [str(index) for index in range(count)]


def device_memory() -> int:
    """Bytes of the smallest visible GPU; its properties are read without a CUDA context."""
    import torch

    count = torch.cuda.device_count()
    return min(torch.cuda.get_device_properties(index).total_memory for index in range(count))


def weight_bytes(target: TargetModel) -> int:
    """Bytes of the weights in the target's number format, counted on a model without storage."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    options = {"trust_remote_code": target.trust_remote_code}
    config = AutoConfig.from_pretrained(target.location, revision=target.revision, **options)
    dtype = (config.dtype or torch.bfloat16) if target.dtype == "auto" else getattr(torch, target.dtype)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, **options).num_parameters() * dtype.itemsize


def _declared(target: TargetModel):
    """The checkpoint's context length and generation settings, read without loading it."""
    from transformers import AutoConfig, GenerationConfig

    options = {"revision": target.revision, "trust_remote_code": target.trust_remote_code}
    config = AutoConfig.from_pretrained(target.location, **options)
    try:
        settings = GenerationConfig.from_pretrained(target.location, revision=target.revision)
    except OSError:  # a checkpoint without the file: the config's own tokens count
        settings = GenerationConfig.from_model_config(config)
    return declared_context(config), settings
