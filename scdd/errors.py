"""The one exception for what a user can mend: a wrong value, a missing or a damaged file."""


class ScddError(Exception):
    """Shown as one line, without a traceback: it names the culprit and says what to do."""
