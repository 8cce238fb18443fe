"""Records that need no request: a mapping of the caller's, in which a client looks them up.

How long a record is kept, and how many are, is the mapping's business. It is somebody else's code,
and may be a file or a server: so what it raises costs no record, and what it gives is looked at.
"""

from __future__ import annotations

import traceback
from collections.abc import MutableMapping
from typing import cast

from ._budget import logger
from ._callbacks import name_of
from .models import RealizedTraining


class Cache:
    """The caller's mapping, or none, in which nothing is ever found.

    Args:
        mapping: Realized trainings by id.
    """

    def __init__(self, mapping: MutableMapping[int, RealizedTraining] | None) -> None:
        self._mapping = mapping
        self._has_failed = False

    def get(self, id: int) -> RealizedTraining | None:
        """The record of this id, if it is there."""
        if self._mapping is None:
            return None
        try:
            record = cast(object, self._mapping[id])
        except KeyError:
            return None
        except Exception as error:
            self._tell(error)
            return None
        # Others may write into it as well.
        if isinstance(record, RealizedTraining) and record.id == id:
            return record
        return None

    def put(self, record: RealizedTraining) -> None:
        """Keep a record that Lucca has just given."""
        if self._mapping is None:
            return
        try:
            self._mapping[record.id] = record
        except Exception as error:
            self._tell(error)

    def drop(self, id: int) -> None:
        """Keep no record that is gone."""
        if self._mapping is None:
            return
        try:
            del self._mapping[id]
        except KeyError:
            pass
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            told = "".join(traceback.format_exception_only(error)).strip()
            which = name_of(self._mapping)
            logger.warning("the cache (%s) fails, which is told once only: %s", which, told)
