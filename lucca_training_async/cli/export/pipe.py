"""An export that goes to stdout: what comes is written at once, and nothing is kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...models import dumps
from .files import disk_error
from .journal import Kept, Replay, Trouble
from .question import Question


class PipeClosedError(Exception):
    """Nobody reads any more, as after ``| head``."""


class Pipe:
    """Records on stdout, failures on stderr, a line each.

    Attributes:
        kept: What has come, to be counted.
    """

    def __init__(self) -> None:
        self._replay = Replay()
        self.kept: Kept = self._replay.kept

    def append(self, lines: Sequence[bytes]) -> None:
        """Write them.

        Raises:
            PipeClosedError: Nobody reads them.
            DiskError: Stdout is a file, and there is no room for it.
        """
        told = len(self.kept.troubles)
        for line in lines:
            assert self._replay.take(line)
        records = [line for line in lines if line.startswith(b"{")]
        # As bytes, since a file is UTF-8 whatever the terminal can show.
        try:
            sys.stdout.buffer.writelines(records)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise PipeClosedError from None
        except OSError as error:
            raise disk_error(Path("stdout"), error) from None
        self.tell(self.kept.troubles[told:])

    def tell(self, troubles: Iterable[Trouble]) -> None:
        """Write failures to where they are no records."""
        for trouble in troubles:
            print(dumps(trouble, allow_nan=True), file=sys.stderr)

    def begin_anew(self, question: Question) -> None:
        """Nothing has been begun elsewhere."""


def leave_stdout() -> None:
    """Keep Python from telling, at its end, that nobody reads what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
