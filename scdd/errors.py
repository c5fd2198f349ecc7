"""Errors that a user can mend: a wrong value, a missing or damaged file, a full disk."""

import difflib
import errno
import sys
from collections.abc import Callable, Iterable

FULL = (errno.ENOSPC, errno.EDQUOT)


class ScddError(Exception):
    """Shown as one line, no traceback: it names the key, file or value and says what to do."""


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint for a message: the nearest known name, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."


def shown(path: object) -> str:
    """A path as a message names it: as Python's repr, where it has characters that do not print."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def warn(text: str) -> None:
    """A line on stderr about what is left out."""
    print(f"warning: {text}", file=sys.stderr)


def reported(work: Callable[[], object]) -> int:
    """Do `work` and return the exit code. An error that a user can mend is one line on stderr."""
    try:
        work()
    except ScddError as error:
        message = str(error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        message = f"{error.filename}: {error.strerror}. Make room, then run snakemake again."
    else:
        return 0
    print(f"error: {message}", file=sys.stderr)
    return 1
