#!/usr/bin/env bash
# What a GPU machine shows of this checkout in some ten minutes: docs/results/gpu.md.
#   benchmarks/gpu.sh [SECONDS]            560 if not given
#   benchmarks/gpu.sh --small [SECONDS]    all of it in small, on a CPU
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3
export PYTHONPATH="$PWD:$PWD/benchmarks:$PWD/tests:$PWD/tests/recover${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "$python" -m gpu "$@"
