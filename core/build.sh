#!/usr/bin/env bash
# Builds the core into .venv (for `make core` and `make venv`): first the locked maturin, then the wheel.
# The argument is cargo's profile. If it fails it says why.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=$1 log=.venv/core.log
# pip finds maturin there.
export PATH="$PWD/.venv/bin:$PATH" PYTHONWARNINGS=ignore
pip=(python -m pip install --quiet --disable-pip-version-check)

lacks=$(core/lacks.sh)
if [[ -n "$lacks" ]]; then
  echo "The native engine can't be built: $lacks." >&2
  exit 1
fi
echo "Building the native engine (Rust), about a minute ..."
if ! {
  "${pip[@]}" --require-hashes -r requirements.core.lock &&
    "${pip[@]}" --no-deps --no-build-isolation --force-reinstall \
      --config-settings=build-args="--profile $profile" ./core &&
    python -c 'import turnstile_core'
} >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "The native engine could not be built ($log has all of it)." >&2
  exit 1
fi
# A library that somebody copied beside the package is another state of core/.
rm -f .venv/lib/python*/site-packages/turnstile_core.*.so .venv/.core-*
