#!/usr/bin/env bash
# What this machine lacks for building the core, in words. It says nothing if all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

if ! command -v cargo >/dev/null 2>&1; then
  echo "there is no cargo (Rust $wanted or newer)"
  exit
fi
found=$(cargo --version 2>/dev/null | cut -d' ' -f2 || true)
if [[ -z "$found" ]]; then
  echo "cargo does not run (Rust $wanted or newer is wanted)"
elif [[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n1)" != "$wanted" ]]; then
  echo "cargo $found is too old (Rust $wanted or newer is wanted)"
elif ! command -v cc >/dev/null 2>&1; then
  echo "there is no C compiler (cc), which Rust links with"
fi
