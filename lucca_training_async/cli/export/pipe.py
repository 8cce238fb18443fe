"""An export that goes to stdout: what comes is written at once, and nothing is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...models import dumps
from ..terminal import give_up_stdout
from .files import disk_error
from .journal import Kept, Replay, Trouble
from .question import Question


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
            BrokenPipeError: Nobody reads them any more.
            DiskError: Stdout is a file, and there is no room for it.
        """
        told = len(self.kept.troubles)
        for line in lines:
            self._replay.add(line)
        records = [line for line in lines if line.startswith(b"{")]
        # As bytes, since a file is UTF-8 whatever the terminal can show.
        try:
            sys.stdout.buffer.writelines(records)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            give_up_stdout()  # it is told once
            raise disk_error(Path("stdout"), error) from None
        self.tell(self.kept.troubles[told:])

    def tell(self, troubles: Iterable[Trouble]) -> None:
        """Write failures to where they are no records."""
        for trouble in troubles:
            print(dumps(trouble, allow_nan=True), file=sys.stderr)

    def begin_anew(self, question: Question) -> None:
        """Nothing has been begun elsewhere."""
