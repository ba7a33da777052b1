"""The target model: where its checkpoint is, how it is loaded, how it is sampled."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dgr.sample import digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from dgr.chat import Chat

EMBEDDED = "embedded:"
LOADED = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt")  # what `from_pretrained` may read
NOTES = ("recipe.json",)  # says how the embedded checkpoints were made
WHOLE_FILE = 64 * 2**20  # bytes; of a larger weights file the fingerprint reads size, head and tail only


@lru_cache
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    """Digest of a file's content; `size` and `modified_ns` make the cache forget a file that changed."""
    with path.open("rb") as file:
        if size <= WHOLE_FILE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        head = file.read(2**20)
        file.seek(-(2**20), 2)
        return digest(size, head.hex(), file.read().hex())


@cache
def _default_threads() -> int:
    """PyTorch's own choice: asked once, before a model changes it."""
    import torch

    return torch.get_num_threads()


def folder_digest(folder: Path) -> str:
    """Digest of the files that a checkpoint is loaded from, wherever the folder lies."""
    files = sorted(file for pattern in LOADED for file in folder.glob(pattern) if file.name not in NOTES)
    if not files:
        raise ValueError(f"model folder {folder} is empty; it should hold config.json and model.safetensors")
    stats = [(file, file.stat()) for file in files]
    return digest(*((file.name, _file_digest(file, stat.st_size, stat.st_mtime_ns)) for file, stat in stats))


@dataclass(frozen=True)
class TargetModel:
    """A reasoning model.

    `path` is a hub id, a local folder (a full checkpoint or a PEFT adapter) or `embedded:<name>` for a checkpoint that
    ships with the package. `think_format` names the family in `dgr.chat`; `language` says which datasets the
    model can read ("natural" or "micro"). `dtype` is the weights' type for generation and scoring. `adapter` is a
    folder with a PEFT adapter on top of `path`. `cpu_threads` sets how many threads work on a CPU (None: PyTorch's
    choice): a tiny model is fastest on one, and its numbers are then the same whatever the number of cores.
    """

    name: str
    path: str
    think_format: str
    revision: str | None = None
    language: str = "natural"
    dtype: str = "auto"
    attn_implementation: str = "auto"
    trust_remote_code: bool = False
    sampling: dict[str, Any] = field(default_factory=dict)
    sft: dict[str, Any] = field(default_factory=dict)
    adapter: str | None = None
    cpu_threads: int | None = None

    speed_only: ClassVar[tuple[str, ...]] = ("cpu_threads",)

    @property
    def location(self) -> str:
        """Hub id or absolute folder, as `from_pretrained` takes it."""
        if self.path.startswith(EMBEDDED):
            return str(Path(__file__).parent / "micro" / "checkpoints" / self.path.removeprefix(EMBEDDED))
        return str(Path(self.path).resolve()) if self.is_local else self.path

    @property
    def is_local(self) -> bool:
        return self.path.startswith((EMBEDDED, ".", "/", "~")) or Path(self.path).is_dir()

    def fingerprint(self) -> str:
        """Digest of what decides the model's output: weights, tokenizer, number format, think format."""
        weights = folder_digest(Path(self.location)) if self.is_local else f"{self.path}@{self.revision}"
        adapter = folder_digest(Path(self.adapter)) if self.adapter else ""
        return digest(weights, adapter, self.dtype, self.attn_implementation, self.think_format)

    def problems(self) -> list[str]:
        """What would keep this model from loading, found without loading it."""
        folder = Path(self.location)
        if self.is_local and not (folder / "config.json").is_file():
            return [f"model.path={self.path}: no checkpoint there (no {folder}/config.json); give a folder or a hub id"]
        return []

    def hub_ids(self) -> list[tuple[str, str, str | None]]:
        """(repository, kind, revision) of what must be reachable on the hub."""
        return [] if self.is_local else [(self.path, "model", self.revision)]

    def trained(self, folder: Path) -> "TargetModel":
        """This target with the weights of a finished training: a full checkpoint or an adapter over this one."""
        if (folder / "adapter_config.json").exists():
            return replace(self, adapter=str(folder))
        return replace(self, path=str(folder), revision=None, adapter=None)

    def load_tokenizer(self) -> "PreTrainedTokenizerFast":
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(
            self.location, revision=self.revision, trust_remote_code=self.trust_remote_code
        )

    def chat(self) -> "Chat":
        from dgr.chat import Chat

        return Chat(self.load_tokenizer(), self.think_format)

    def load_model(
        self, dtype: str | None = None, placed: bool = True, arithmetic: str | None = None, **options: Any
    ) -> "PreTrainedModel":
        """The model in eval mode on the first CUDA device, or on the CPU. `dtype` overrides the yaml's.

        Without `placed` it stays where loading leaves it. `arithmetic` is the type that it will compute in, where that
        is not the weights' own. `options` go to `from_pretrained`.
        """
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        torch.set_num_threads(self.cpu_threads or _default_threads())
        torch.backends.cuda.enable_cudnn_sdp(False)  # plans for a quarter of a second at every new shape; most are new
        logging.disable_progress_bar()
        model = AutoModelForCausalLM.from_pretrained(
            self.location,
            revision=self.revision,
            dtype=dtype or self.dtype,
            trust_remote_code=self.trust_remote_code,
            use_safetensors=True,
            **self._attention(arithmetic or dtype or self.dtype),
            **options,
        )
        if self.adapter:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, self.adapter).merge_and_unload()
        return (model.to("cuda" if torch.cuda.is_available() else "cpu") if placed else model).eval()

    def _attention(self, arithmetic: str) -> dict[str, str]:
        """As the yaml says; "auto" is flash attention where it is installed and can work, else what PyTorch brings."""
        import torch
        from transformers.utils import is_flash_attn_2_available

        if self.attn_implementation != "auto":
            return {"attn_implementation": self.attn_implementation}
        half = arithmetic in ("bfloat16", "float16")
        flash = half and torch.cuda.is_available() and is_flash_attn_2_available()
        return {"attn_implementation": "flash_attention_2"} if flash else {}
