"""`dgr.compare` on 1,000 runs with 200,000 rows: its seconds and peak memory, and how long the report takes to open.

The runs are copies of one composed config (50 arms and sizes, 20 seeds), each with 200 rows of ordinary length.
The CPU's seconds of the one process count, so that other processes on the machine do not disturb.
"""

import json
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dgr.naming import conf_dir, register_resolvers

RUNS, ROWS = 1000, 200
ARMS = ("vanilla", "dgr", "sdft", "self_refusal", "best_of_n")
SIZES = (0, 1, 3, 10, 30, 100, 300, 1000, 2000, 3000)
WORDS = "first take the thing and put it near the river ; then count 1 2 3 4 and say that the answer is 7 . " * 4
RATES = ("reasoning/accuracy", "safety/harmful_rate", "safety/harmful_seen/harmful_rate", "over_refusal/rate")
LABELS = {"chain": "correct", "harmful_seen": "refusal", "benign": "compliance"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("outputs") / "large", np.random.default_rng(0)
    register_resolvers()
    for arm in ARMS:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("config", overrides=[f"refine={arm}", "sweep=large", "run_id=x", "outputs=x"])
        text = OmegaConf.to_yaml(cfg, resolve=True)
        for n in SIZES:
            for seed in range(RUNS // len(ARMS) // len(SIZES)):
                said = text.replace("n_samples: 1000", f"n_samples: {n}").replace("\nseed: 0", f"\nseed: {seed}")
                _run(
                    folder / f"micro-micro_direct_refusal-{arm}-n{n}-s{seed}-00000000",
                    said,
                    list(cfg.evaluation.benchmarks),
                    random,
                )
    return folder


def _run(folder, config, benchmarks, random):
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    (folder / "status.json").write_text('{"state": "finished"}')
    metrics = {"gap/nll_per_token": random.random(), "tax/reasoning": random.random()}
    for key in (*RATES, *(f"base/{rate}" for rate in RATES), *(f"gap/filler/{number}" for number in range(150))):
        metrics |= {key: random.random(), f"{key}/n": 50, f"{key}/stderr": 0.05}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "train.json").write_text(json.dumps({"loss": [[step, 1.0 / step, 1e-4, 1.0] for step in range(1, 251)]}))
    sample = {
        "prompt": WORDS[:80],
        "reasoning": WORDS,
        "answer": WORDS[:100],
        "source_reasoning": WORDS[50:],
        "source_answer": "no",
    }
    sample |= {"accepted": True, "fallback": False, "attempts": 1, "failed": [[]], "nll_before": 9.0, "nll_after": 1.0}
    _write(folder / "samples.jsonl", [{"id": f"sample-{k}", **sample} for k in range(50)])
    for name in benchmarks:
        rows = []
        for k in range(50 if name in LABELS else 0):
            row = {"id": f"{name}-{k}#1", "item": f"{name}-{k}", "sample": 1, "prompt": WORDS[:120], "gold": "7"}
            verdict = LABELS[name] if random.random() < 0.8 else "garbled"
            row |= {"reply": WORDS, "verdict": verdict, "why": "as made", "truncated": False, "thinking_tokens": k}
            rows.append(row)
        _write(folder / "evaluation" / f"{name}.jsonl", rows)


def _write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_thousand_runs_are_compared_in_half_a_minute_and_a_gibibyte(sweep):
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "dgr.compare", str(sweep)], check=True, capture_output=True)
    wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    peak = used.ru_maxrss / 2**20
    size = (sweep / "report.html").stat().st_size / 2**20
    print(
        f"\n{RUNS} runs, {RUNS * ROWS:,} rows: {seconds:.1f} CPU s ({wall:.1f} s), {peak:.2f} GiB, page {size:.1f} MiB"
    )
    assert seconds < 30
    assert peak < 1


def test_how_long_the_report_takes_to_open(sweep):
    """Printed only: it is the browser's and the machine's time as well."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium with its driver here: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))) as browser:
        for _ in range(3):
            browser.get((sweep / "report.html").as_uri())
            script = "const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd"
            count = "return document.querySelectorAll('#table tbody tr').length"
            print(f"\nloaded after {browser.execute_script(script) / 1000:.2f} s, {browser.execute_script(count)} rows")
