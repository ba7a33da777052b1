"""What programs with a config of their own have in common (`dgr.judge`, `dgr.probe`)."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

log = logging.getLogger(__name__)


def start(run: Callable[[], None], check: Callable[[Sequence[str]], None], text: str) -> None:
    """`check` the command line, then `run`; where Hydra is asked something, it answers, with `text` as its help.

    Exit status 0: it is done; 1: it failed; 2: a mistake in the command, nothing was started.
    """
    from hydra._internal.utils import get_args_parser

    from dgr.preflight import ending_on_mistakes

    argv = sys.argv[1:]
    if {"-h", "--help"} & set(argv):
        sys.argv.append("hydra.help.template='" + text.strip().replace("'", r"\'") + "'")
    asked = get_args_parser().parse_args(argv)
    if not (asked.help or asked.hydra_help or asked.cfg or asked.info or asked.shell_completion):
        with ending_on_mistakes():
            check(argv)
    run()


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """An error is one line and exit status 1; HYDRA_FULL_ERROR=1 shows the traceback."""
    try:
        yield
    except Exception as error:
        log.error("it failed: %s: %s", type(error).__name__, error)
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        sys.exit(1)
