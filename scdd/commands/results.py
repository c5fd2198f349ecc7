"""`scdd results`: all finished students in one table."""

import argparse
from typing import Any

from scdd.overview import in_columns, in_csv, ordered, results
from scdd.report.typeset import comma_separated, markdown


def show_results(args: argparse.Namespace) -> None:
    """Show all finished students in results/, of all experiments, in one table: the newest first.
    A line is the mean ± standard deviation over seeds."""
    by = [key.strip() for key in args.by.split(",")] if args.by else []
    rows = ordered(results(), by)
    if args.csv:
        print(comma_separated(*in_csv(rows, by)), end="")
    elif not rows:
        print("No student is finished here.")
    elif args.md:
        print(markdown(in_columns(rows, by)))
    else:
        lines = markdown(in_columns(rows, by)).splitlines()
        del lines[1]  # Markdown's rule
        print("\n".join(line.strip("| ").replace(" | ", "  ") for line in lines))


def add(commands: Any) -> None:
    command = commands.add_parser("results", help=show_results.__doc__)
    command.add_argument(
        "--by",
        help="columns to sort by, which come first: ipc,student; or values as recover.lr",
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="as CSV, with all digits and digests")
    form.add_argument("--md", action="store_true", help="as a table in Markdown")
    command.set_defaults(run=show_results)
