"""`python -m dgr.training.torchrun ERRORS ...`: PyTorch's torchrun, whose report on what failed goes to a folder.

Where a rank is killed, or dies without leaving an error, torchrun alone knows it.
"""

import logging
import signal
import sys
from pathlib import Path

from dgr import stopping
from dgr.child import leave_error


def main() -> None:
    errors, arguments = Path(sys.argv[1]), ["--signals-to-handle=SIGINT,SIGHUP,SIGQUIT", *sys.argv[2:]]
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping.WARNINGS)  # on other nodes nobody did it; the ranks inherit it
    signal.signal(signal.SIGTERM, _end_unless_asked)
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the parent shows the error, once
    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        for rank, failure in error.failures.items():
            _report(errors, rank, failure)
        sys.exit(1)


def _end_unless_asked(number: int, frame) -> None:
    """What torchrun does at SIGTERM, unless the whole job gets it and the ranks are about to save."""
    from torch.distributed.elastic.multiprocessing.api import SignalException

    if not stopping.asked_soon():
        raise SignalException(f"torchrun got {signal.Signals(number).name}", sigval=signal.Signals(number))


def _report(errors: Path, rank: int, failure) -> None:
    """A killed rank is what came first: the others fail because it does not answer."""
    killed = failure.exitcode < 0 and -failure.exitcode != signal.SIGTERM
    if killed:
        how = f"was killed by {failure.signal_name()}"
        if -failure.exitcode == signal.SIGKILL:
            how += "; if nobody did that, the machine ran out of memory: lower trainer.tokens_per_pass"
    else:
        how = f"ended with exit status {failure.exitcode}"
    if killed or not (errors / f"{rank}.json").exists():
        leave_error(errors, rank, {"error": f"rank {rank} {how}"}, moment=0.0 if killed else None)


if __name__ == "__main__":
    main()
