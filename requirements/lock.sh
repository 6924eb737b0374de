#!/usr/bin/env bash
# Recompile the three locks from pyproject.toml (run as `make lock`).
# cpu.lock and gpu.lock add a vLLM engine to everything else; core.lock is what `make` installs,
# constrained by cpu.lock so that adding the engine later changes no other version.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
compile() {
  local out=$1; shift
  grep -v '^torch==' "$out" >"$out.tmp"  # other versions stay unless something asks for it; UPGRADE=1 takes the newest
  "$uv" pip compile -q pyproject.toml --python-version 3.11 --no-header --no-annotate ${UPGRADE:+--upgrade} "$@" -o "$out.tmp"
  # A local version (2.13.0+cpu) would tie the lock to machines that hold that very build.
  sed -E 's/^(torch==[0-9.]+)\+cpu/\1/' "$out.tmp" >"$out"
  rm "$out.tmp"
}
find_links=$(.venv/bin/pip config get global.find-links 2>/dev/null || true)
links=(${find_links:+--find-links "$find_links"})
tools=(--extra dev --extra docs --extra remotes --override requirements/tools.txt)
compile requirements/cpu.lock --extra cpu "${tools[@]}" --override requirements/overrides.txt "${links[@]}"
compile requirements/core.lock "${tools[@]}" -c requirements/cpu.lock "${links[@]}"
compile requirements/gpu.lock --extra gpu "${tools[@]}" -c requirements/core.lock
