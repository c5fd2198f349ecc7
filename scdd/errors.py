"""The one exception for what a user can mend: a wrong value, a missing or a damaged file."""


class ScddError(Exception):
    """Shown as a single line without a traceback. The text names the culprit and says what to do."""
