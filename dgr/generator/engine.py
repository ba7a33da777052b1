"""vLLM engines in processes of their own, one a group of GPUs: when they end, their memory is free."""

import atexit
import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from dgr.generator import LENGTH, STOP, Sampling
from dgr.generator.rows import Row, Written

log = logging.getLogger(__name__)

READY, GROUP, DONE, FAILED = "ready", "group", "done", "failed"
PATIENCE = 20.0  # seconds for an engine to end by itself

Group = list[tuple[str, Written]]


@dataclass(frozen=True)
class Engine:
    """What one engine is started with: vLLM's own arguments, and a folder with a LoRA adapter."""

    arguments: dict[str, Any]
    adapter: str | None = None


class Engines:
    """One engine for each group of devices; every one holds the whole model and takes its share of the rows."""

    def __init__(self, engine: Engine, devices: list[str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._processes: dict[Connection, Any] = {}
        for group in devices:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=serve, args=(theirs, engine, group), name=f"vLLM on GPU {group}")
            process.start()
            theirs.close()  # so that a child that dies ends the pipe
            self._processes[ours] = process
        atexit.register(self.close)  # before multiprocessing waits for them
        try:
            for _ in self._until(READY):
                pass
        except BaseException:
            self.close()
            raise

    def answer(self, rows: list[Row], sampling: Sampling, stop_ids: list[int]) -> Iterator[Group]:
        """Groups of (row id, what was written) as they are finished; long and short rows are spread evenly."""
        ordered = sorted(rows, key=lambda row: -len(row.ids))
        for position, pipe in enumerate(self._processes):
            pipe.send((ordered[position :: len(self._processes)], sampling, stop_ids))
        yield from self._until(DONE)

    def _until(self, last: str) -> Iterator[Group]:
        """What the engines send until each has sent `last`; RuntimeError where one fails or dies."""
        waiting = set(self._processes)
        while waiting:
            for pipe in wait(list(waiting)):
                process = self._processes[pipe]
                try:
                    kind, content = pipe.recv()
                except (EOFError, ConnectionError):
                    process.join(PATIENCE)
                    raise RuntimeError(
                        f"{process.name} died with exit status {process.exitcode}, see its last lines above; replies "
                        "that were finished are kept; killed for memory? lower generator.gpu_memory_utilization"
                    ) from None
                if kind == FAILED:
                    error = RuntimeError(f"{process.name}: {content['error']}")
                    error.add_note(content["traceback"])
                    raise error
                if kind == GROUP:
                    yield content
                elif kind == last:
                    waiting.remove(pipe)

    def close(self) -> None:
        """End the engines; returns once they are gone."""
        for pipe in self._processes:
            pipe.close()  # an idle engine ends when nobody can ask it any more
        for process in self._processes.values():
            process.join(PATIENCE)
            for stop in (process.terminate, process.kill):
                if process.is_alive():
                    stop()
                    process.join(PATIENCE)
        self._processes.clear()
        atexit.unregister(self.close)


def serve(pipe: Connection, engine: Engine, devices: str) -> None:
    """The child's side: load the model, then answer what comes until the pipe ends."""
    os.environ["CUDA_VISIBLE_DEVICES"] = devices
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the engine in this process: scheduling is repeatable
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        running = _start(engine)
        pipe.send((READY, None))
        while True:
            rows, sampling, stop_ids = pipe.recv()
            for group in answers(running, engine, rows, sampling, stop_ids):
                pipe.send((GROUP, group))
            pipe.send((DONE, None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent let go, or is gone
    except Exception as error:  # noqa: BLE001  it is raised in the parent
        what = str(error).strip().split("\n")[0]
        pipe.send((FAILED, {"error": f"{type(error).__name__}: {what}", "traceback": traceback.format_exc()}))


def _start(engine: Engine) -> Any:
    from vllm import EngineArgs, LLMEngine

    return LLMEngine.from_engine_args(EngineArgs(**engine.arguments))


def answers(running: Any, engine: Engine, rows: list[Row], sampling: Sampling, stop_ids: list[int]) -> Iterator[Group]:
    """What the engine writes, whenever a step of it finishes rows."""
    from vllm import TokensPrompt
    from vllm.lora.request import LoRARequest

    lora = LoRARequest("adapter", 1, engine.adapter) if engine.adapter else None
    for row in rows:
        prompt = TokensPrompt(prompt_token_ids=list(row.ids))
        running.add_request(row.id, prompt, parameters(row, sampling, stop_ids), lora_request=lora)
    while running.has_unfinished_requests():
        finished = [output for output in running.step() if output.finished]
        if finished:
            yield [(output.request_id, written(output.outputs[0], stop_ids)) for output in finished]


def parameters(row: Row, sampling: Sampling, stop_ids: list[int]) -> Any:
    """A row's own seed and limit; token ids come back, the text is made of them where every generator's is."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k or -1,
        seed=row.seed,
        max_tokens=row.limit,
        stop_token_ids=stop_ids,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def written(completion: Any, stop_ids: list[int]) -> Written:
    """Tokens with the stop token at their end. RuntimeError for a row that ended for any other reason."""
    ids, reason = list(completion.token_ids), completion.finish_reason
    if reason not in (STOP, LENGTH):
        raise RuntimeError(f"vLLM ended a request with {reason!r}, not at its end or its limit")
    if reason == STOP and not (ids and ids[-1] in stop_ids):
        ids.append(stop_ids[0])  # a version that leaves it out
    return Written(ids, reason)
