#!/usr/bin/env bash
# Make .venv hold requirements/core.lock and this package (run by `make`; seconds when nothing changed).
# What else .venv holds, such as an engine of `make vllm`, is left alone.
#
# PYTHON picks the interpreter (default: python3.11, or python3 where that is 3.11).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/installer.sh
. scripts/installer.sh

stamp=.venv/.stamp
unfinished=.venv/.unfinished

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3}; do
    if is_311 "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.11 is needed (tried: ${PYTHON:-python3.11, python3}); install it or call make PYTHON=/path/to/python3.11"
}

make_venv() {
  local python
  python=$(find_python)
  "$python" -m venv --clear .venv ||
    fail "$python cannot make a virtual environment; on Debian or Ubuntu: apt install python3.11-venv"
}

usable() { [ -x .venv/bin/pip ] && is_311 .venv/bin/python && .venv/bin/pip --version >/dev/null 2>&1; }

rm -f "$stamp"
# What an interrupted set-up left may be broken in ways that no installer sees: begin anew.
if [ -e "$unfinished" ] || ! usable; then make_venv; fi
touch "$unfinished"
choose_installer
# torch first, with what it needs: the CPU build needs nothing more, PyPI's CUDA build its libraries.
"${install[@]}" "$(grep '^torch==' requirements/core.lock)" --constraint requirements/core.lock
"${install[@]}" --no-deps --requirement requirements/core.lock
"${install[@]}" --no-deps --editable .
compile_modules
rm "$unfinished"
touch "$stamp"
