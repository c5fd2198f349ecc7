"""`python -m scdd.plan.freeze PATH` writes one artifact's config.json."""

import sys
from pathlib import Path

from scdd.errors import reported
from scdd.plan.load import write_config

if __name__ == "__main__":
    sys.exit(reported(lambda: write_config(Path(sys.argv[1]))))
