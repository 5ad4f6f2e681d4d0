# What the checks share.  Sourced by each of them, with the checkout's root as the working directory afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

# A run without .pyc files compiles csp again in each interpreter it starts: ten times slower, and no user has it so.
unset PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180} UV_LINK_MODE=${UV_LINK_MODE:-copy} UV_NO_PROGRESS=1

# A distribution's own Python may refuse `pip install`; on a throw-away machine that is what we want all the same.
if [ "${CI:-}" = true ] || [ "$(id -u)" = 0 ]; then export PIP_BREAK_SYSTEM_PACKAGES=1; fi

# have_uv: the first half of the README's commands.  Several checks may start at the same time.
have_uv() {
  python3 -m uv --version >/dev/null 2>&1 && return
  (
    flock 9
    python3 -m uv --version >/dev/null 2>&1 || python3 -m pip install -q uv
  ) 9>"${TMPDIR:-/tmp}/csp-ci.lock"
}

# have COMMAND PACKAGE...: install the Debian packages if the command is missing.  The lock may be held by the machine's own
# updates, and a mirror may be slow to answer: so need_packages waits and tries again.
have() {
  local command=$1
  shift
  command -v "$command" >/dev/null || need_packages "$@"
}

need_packages() {
  local try
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "missing: $*" >&2; return 1; }
  for try in 1 2 3 4 5; do
    if (
      flock 9
      export DEBIAN_FRONTEND=noninteractive
      apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null || true # one broken source does not matter if ours work
      apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y "$@" >/dev/null
    ) 9>"${TMPDIR:-/tmp}/csp-ci-apt.lock"; then return; fi
    echo "apt-get install $*: try $try failed" >&2
    sleep $((try * 5))
  done
  return 1
}

# have_headers: building needs Python's headers, which a distribution packs apart from its Python.
have_headers() {
  have gcc gcc libc6-dev
  have_uv
  local python wanted
  wanted=$(cat .python-version)
  python=$(python3 -m uv python find --no-project "$wanted" 2>/dev/null) || return 0 # then uv fetches one, with headers
  "$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    need_packages "python$wanted-dev"
}

# copy_tree FOLDER: the checkout with its uncommitted changes, without anything built.
copy_tree() {
  mkdir -p "$1"
  if command -v git >/dev/null && git -c safe.directory='*' rev-parse >/dev/null 2>&1; then
    git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
      while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done | tar -c --null -T - | tar -x -C "$1"
  else
    tar -c --exclude=./.venv --exclude=./build --exclude=./dist --exclude='*.so' --exclude='*.egg-info' --exclude=__pycache__ . | tar -x -C "$1"
  fi
}

# scratch: a folder that is gone when the check ends.
scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/csp-ci.XXXXXX")
  trap 'rm -rf --one-file-system "$scratch"' EXIT
}
