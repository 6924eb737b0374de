#!/usr/bin/env bash
# Make .venv hold exactly requirements/core.lock and this package (run by `make`; seconds when nothing changed).
#
# PYTHON picks the interpreter (default: python3.11, or python3 where that is 3.11).
# pip's own settings (index, extra indexes, find-links, certificate) hold here too: uv, which is
# faster, does not read them, so they are handed over.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
stamp=.venv/.stamp
unfinished=.venv/.unfinished

fail() {
  echo "error: $*" >&2
  exit 2
}

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

# The value of pip's setting $1 (as in `pip config`), from its environment variable or its files.
pip_setting() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  if [ -n "${!variable:-}" ]; then
    echo "${!variable}"
  else
    .venv/bin/pip config get "global.$1" 2>/dev/null || .venv/bin/pip config get "install.$1" 2>/dev/null || true
  fi
}

make_venv() {
  local python
  python=$(find_python)
  "$python" -m venv --clear .venv ||
    fail "$python cannot make a virtual environment; on Debian or Ubuntu: apt install python3.11-venv"
}

# Sets `install`: the command that installs packages, uv where it can be had and pip otherwise.
choose_installer() {
  if ! .venv/bin/uv --version 2>/dev/null | grep -q "^uv $UV_VERSION" &&
    ! .venv/bin/pip install -qq "uv==$UV_VERSION"; then
    echo "uv cannot be installed; going on with pip, which is slower" >&2
    install=(.venv/bin/pip install -qq)
    return
  fi
  install=(.venv/bin/uv pip install -qq --python .venv/bin/python --index-strategy unsafe-best-match)
  local value
  value=$(pip_setting index-url)
  [ -z "$value" ] || install+=(--default-index "$value")
  for value in $(pip_setting extra-index-url); do install+=(--index "$value"); done
  for value in $(pip_setting find-links); do install+=(--find-links "$value"); done
  value=$(pip_setting cert)
  [ -z "$value" ] || export SSL_CERT_FILE=$value
  export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180}
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
# Where Python may not keep compiled modules, as in many containers, each job would compile torch anew: 8 seconds.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
  .venv/bin/python -W ignore -m compileall -qq -j 0 .venv/lib || true # templates among the packages are no Python
fi
rm "$unfinished"
touch "$stamp"
