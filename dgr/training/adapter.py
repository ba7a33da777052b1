"""Which weights are trained: all of them, or low-rank adapters beside frozen ones."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, ClassVar

from dgr.machine import has_gpu

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from dgr.model import TargetModel

ALL_LINEAR = "all-linear"
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}  # of a precision


@dataclass(frozen=True)
class Full:
    """Every weight is trained, in float32; bf16 is then the precision of the arithmetic only."""

    merge: ClassVar[bool] = False

    def problems(self, target: "TargetModel", hub: bool = False) -> list[str]:
        return []

    def load(self, target: "TargetModel", precision: str, seed: int) -> "PreTrainedModel":
        return target.load_model("float32", placed=False, arithmetic=DTYPES[precision])


@dataclass(frozen=True)
class LoRA:
    """Low-rank adapters (Hu et al., arXiv 2106.09685): W + s B A; s is alpha / rank, for rsLoRA alpha / sqrt(rank).

    `targets` is "all-linear" (every linear layer but the output head) or names of modules, e.g. [q_proj, v_proj].
    The frozen weights are held in the precision of the arithmetic, or with `bits` 4 quantised (QLoRA, arXiv 2305.14314;
    CUDA only); the adapters in float32. `merge` leaves a whole checkpoint in place of the adapter.
    """

    rank: int
    alpha: float
    dropout: float
    targets: str | Sequence[str]
    rslora: bool
    bits: int | None
    merge: bool

    def problems(self, target: "TargetModel", hub: bool = False) -> list[str]:
        """What preflight reports. `hub` allows asking the hub for the module names of a model that is not local."""
        found = []
        if not isinstance(self.rank, int) or self.rank < 1:
            found.append(f"adapter.rank={self.rank} is not a rank; choose a whole number of at least 1")
        if not isinstance(self.alpha, int | float) or self.alpha <= 0:
            found.append(f"adapter.alpha={self.alpha} is not a scale; choose a number above 0")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            found.append(f"adapter.dropout={self.dropout} is not a probability; choose 0 or more, below 1")
        found += self._bits_problems()
        if target.adapter:
            found.append(
                f"adapter=lora on a model that has an adapter already ({target.adapter}); "
                "merge that one into a checkpoint and use it as model.path"
            )
        return found + self._target_problems(target, hub)

    def _target_problems(self, target: "TargetModel", hub: bool) -> list[str]:
        if self.targets == ALL_LINEAR or not (target.is_local or hub):
            return []
        if not self._names():
            return [f"adapter.targets is empty; name modules or choose {ALL_LINEAR}"]
        try:
            modules = _matrices(target)
        except (OSError, ValueError) as error:
            return [f"the module names of {target.path} cannot be read for adapter.targets: {error}"]
        valid = sorted({module.rpartition(".")[2] for module in modules})
        return [
            f"adapter.targets names {name!r}, which {target.path} lacks; valid names: {', '.join(valid)}"
            for name in self._names()
            if not any(module == name or module.endswith(f".{name}") for module in modules)
        ]

    def _bits_problems(self) -> list[str]:
        if self.bits not in (None, 4):
            return [f"adapter.bits={self.bits} is not possible; choose 4, or null for weights that are not quantised"]
        if self.bits and not (has_gpu() or which("sbatch")):
            return [f"adapter.bits={self.bits} needs a CUDA GPU, and there is none here; choose adapter.bits=null"]
        if self.bits and find_spec("bitsandbytes") is None:
            return [f"adapter.bits={self.bits} needs bitsandbytes: pip install 'dgr[qlora]'"]
        return []

    def _names(self) -> list[str]:
        return [self.targets] if isinstance(self.targets, str) else list(self.targets)

    def load(self, target: "TargetModel", precision: str, seed: int) -> "PeftModel":
        """The target with fresh adapters, drawn from `seed`; nothing else is trainable."""
        import torch

        dtype = DTYPES[precision]
        model = self._quantised(target, dtype) if self.bits else target.load_model(dtype, placed=False)
        torch.manual_seed(seed)  # however much loading drew
        return self.apply(model, target.revision)

    def _quantised(self, target: "TargetModel", dtype: str) -> "PreTrainedModel":
        import torch
        from peft import prepare_model_for_kbit_training
        from transformers import BitsAndBytesConfig

        if not torch.cuda.is_available():
            raise ValueError(f"adapter.bits={self.bits} needs a CUDA GPU, and there is none here; use null")
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
        here = {"": torch.cuda.current_device()}
        model = target.load_model(dtype, placed=False, quantization_config=config, device_map=here)
        return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)

    def apply(self, model: "PreTrainedModel", revision: str | None = None) -> "PeftModel":
        """The model with adapters drawn from torch's generator."""
        from peft import LoraConfig, TaskType, get_peft_model

        config = LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=ALL_LINEAR if self.targets == ALL_LINEAR else self._names(),
            use_rslora=self.rslora,
        )
        return get_peft_model(model, config, revision=revision)


def _matrices(target: "TargetModel") -> set[str]:
    """Names of the modules that hold a matrix, from the headers of the safetensors files; torch is not imported."""
    if not target.is_local:
        from huggingface_hub import get_safetensors_metadata

        metadata = get_safetensors_metadata(target.location, revision=target.revision)
        shapes = {n: info.shape for file in metadata.files_metadata.values() for n, info in file.tensors.items()}
    else:
        files = sorted(Path(target.location).glob("*.safetensors"))
        if not files:
            raise ValueError(f"no .safetensors file in {target.location}")
        shapes = {name: shape for file in files for name, shape in _header(file).items()}
    return {name.removesuffix(".weight") for name, shape in shapes.items() if len(shape) == 2}


def _header(file: Path) -> dict[str, list[int]]:
    """Shapes by tensor name: eight bytes of length (little endian), then that much JSON."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
        if not 0 < length < file.stat().st_size:
            raise ValueError(f"{file} is not a safetensors file or is damaged; fetch it again")
        header = json.loads(stream.read(length))
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
