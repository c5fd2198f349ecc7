"""The command `scdd`: what a configuration makes, what others made, and what nobody needs."""

import argparse
import sys

from scdd.commands import COMMANDS
from scdd.errors import reported


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scdd", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in COMMANDS:
        command.add(commands)
    args = parser.parse_args(argv)
    return reported(lambda: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
