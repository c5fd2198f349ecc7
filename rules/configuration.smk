# Which configuration this run is of, if no --configfile is given: that of the paper that is asked for,
# or the default.
import sys

from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError

from scdd.plan.paper import TARGETS as PAPERS


def papers_asked_for():
    """The targets that are papers. Snakemake itself tells its targets only after it has read the
    rules."""
    if not workflow.is_main_process or not PAPERS.keys() & sys.argv:
        return []
    targets = get_argument_parser().parse_known_args()[0].targets
    return [target for target in PAPERS if target in targets]


ASKED = papers_asked_for()
if len(ASKED) > 1:
    raise WorkflowError(f"{' and '.join(ASKED)} are two configurations. Run one after the other.")
CONFIGURATION = PAPERS[ASKED[0]] if ASKED else "config.yaml"

# a given --configfile stands alone: mixed with the default's keys it would be neither of the two
if not workflow.overwrite_configfiles:

    configfile: CONFIGURATION
