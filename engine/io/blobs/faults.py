"""What a store's faults become: one refusal for callers, one observation for operators.

A caller is refused with 503 whatever it is: that the store is away, full or cannot write is not his request's fault,
and the same request may succeed later. (413 is for a file that is larger than any that is taken.)
"""

from __future__ import annotations

import errno

from engine.errors import Unavailable
from engine.observe import BlobsFailed, observe

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FULL_RETRY_AFTER_S = 60
AWAY_RETRY_AFTER_S = 2


def refuse(operation: str, error: Exception) -> Unavailable:
    """The refusal of a call whose bytes cannot be stored or read; the reason goes to the log alone.

    Args:
        operation: What the store was doing, in a word.
        error: What went wrong with it.
    """
    observe(BlobsFailed(operation, type(error).__name__, str(error)))
    if isinstance(error, OSError) and error.errno in FULL:
        return Unavailable(
            "There is no room for the file at the moment; nothing was kept. Try again later.",
            retry_after_s=FULL_RETRY_AFTER_S,
        )
    return Unavailable(
        "The files cannot be reached at the moment; nothing was kept. Try again shortly.",
        retry_after_s=AWAY_RETRY_AFTER_S,
    )
