# What setup.sh and vllm.sh share: which command installs packages into .venv. To be sourced.
# shellcheck shell=bash

UV_VERSION=0.13.9

fail() {
  echo "error: $*" >&2
  exit 2
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

# Sets `install`: the command that installs packages, uv where it can be had and pip otherwise.
# pip's own settings (index, extra indexes, find-links, certificate) hold for uv too, which does not read them.
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

# Where Python may not keep compiled modules, as in many containers, each job would compile torch anew: 8 seconds.
compile_modules() {
  [ -n "${PYTHONDONTWRITEBYTECODE:-}" ] || return 0
  .venv/bin/python -W ignore -m compileall -qq -j 0 .venv/lib || true # templates among the packages are no Python
}
