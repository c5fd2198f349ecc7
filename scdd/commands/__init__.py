"""The subcommands of `scdd`, a file each.

`add(commands)` of a file adds the parser of its command, whose default `run` is a function of the
parsed arguments. What needs torch is imported when the command runs.
"""

from scdd.commands import exports, garbage, import_checkpoint, keys, measure, plan, results, status

COMMANDS = (plan, status, results, measure, keys, import_checkpoint, exports, garbage)
