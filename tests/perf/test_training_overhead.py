"""What the stage does around `Trainer.train`: load, write, read back and compare, in CPU seconds of this process.

The imports, paid once a process, are not counted. With several processes the start of torchrun comes on top; that is
measured on the clock, for it is other processes that work.
"""

import os
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dgr.component import build
from dgr.files import read_json, write_jsonl, write_text
from dgr.model import TargetModel
from dgr.naming import conf_dir, register_resolvers

register_resolvers()


def point(*overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.fixture
def inside(monkeypatch):
    """CPU seconds inside `Trainer.train`, as they pass."""
    from dgr.training import loop

    spent, real = [], loop.StepTrainer.train

    def train(self, *args, **kwargs):
        began = time.process_time()
        result = real(self, *args, **kwargs)
        spent.append(time.process_time() - began)
        return result

    monkeypatch.setattr(loop.StepTrainer, "train", train)
    return spent


def stage(cfg, model, samples, folder, inside):
    """(CPU seconds of the whole training stage, those inside Trainer.train)."""
    began = time.process_time()
    build(cfg.trainer).train(samples, model, build(cfg.adapter), 0, folder)
    return time.process_time() - began, inside[-1]


def big(folder):
    """A random checkpoint of about 100 million parameters that speaks the embedded model's language."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    micro = TargetModel("micro", "embedded:base", "think_tags", language="micro")
    tokenizer = micro.load_tokenizer()
    torch.manual_seed(0)
    shape = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 10, "num_attention_heads": 12}
    shape["num_key_value_heads"] = 12
    Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TargetModel("big", str(folder), "think_tags", language="micro", cpu_threads=1)


def test_the_stage_adds_little_to_the_training(tmp_path, inside):
    cfg = point("trainer.max_steps=120")
    samples = build(cfg.data).load()[:100]
    stage(point("trainer.max_steps=1"), build(cfg.model), samples, tmp_path / "warm", inside)
    whole, train = stage(cfg, build(cfg.model), samples, tmp_path / "micro", inside)
    print(
        f"micro, 120 steps: {whole:.2f} s, {whole - train:.2f} s ({(whole - train) / whole:.0%}) around Trainer.train"
    )
    few = point("trainer.max_steps=6", "trainer.global_batch=4")
    huge, slow = stage(few, big(tmp_path / "checkpoint"), samples[:8], tmp_path / "big", inside)
    print(f"100 M, 6 steps of 4: {huge:.2f} s, {huge - slow:.2f} s ({(huge - slow) / huge:.0%}) around Trainer.train")
    assert whole - train < 3
    assert huge - slow < 15


def test_what_starting_two_processes_costs(tmp_path):
    cfg = point("trainer=zero2", "trainer.nproc=2", "trainer.max_steps=60", "refine=vanilla", "n_samples=40")
    from dgr.stages import STAGES, _run_stage, train

    write_text(
        tmp_path / "config.yaml", OmegaConf.to_yaml(cfg, resolve=False).replace("${dgr.outputs:}", str(tmp_path))
    )
    rows = [{**vars(sample)} for sample in build(cfg.data).load()[:40]]
    write_jsonl(tmp_path / "samples.jsonl", rows)
    began = time.monotonic()
    _run_stage(next(one for one in STAGES if one.run is train), cfg, tmp_path)
    whole, record = time.monotonic() - began, read_json(tmp_path / "train.json")
    print(
        f"\nzero2 on 2 processes ({os.cpu_count()} cores): {whole:.1f} s, {whole - record['seconds']:.1f} s around it"
    )
    assert Path(tmp_path / "model" / "model.safetensors").exists()
    assert whole - record["seconds"] < 90
