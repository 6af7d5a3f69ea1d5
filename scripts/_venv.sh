# Sourced by the scripts beside it: makes `.venv` with what they need, once.
# It installs nothing outside of the project's folder.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The newest Python from 3.11 on, by name.
find_python() {
    local name
    for name in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3 python; do
        [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        printf '%s\n' "$name"
        return
    done
    echo "Python 3.11 or newer is needed (set PYTHON to name one that is not on the PATH)." >&2
    return 1
}

# make_venv run|dev: what the server needs, or the tools for tests as well. Quick when nothing has changed:
# the stamp holds the hash of pyproject.toml and where the project lies.
make_venv() {
    local kind=$1 wanted python stamp=.venv/.stamp-$1
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        python=$(find_python)
        echo "Making .venv with $("$python" --version) …" >&2
        "$python" -m venv .venv || {
            echo "$python has no working venv module (Debian and Ubuntu: apt-get install python3-venv)." >&2
            return 1
        }
    fi
    wanted="$(cksum <pyproject.toml) $PWD"
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    echo "Installing what pyproject.toml names ($kind) …" >&2
    if [ "$kind" = dev ]; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
        printf '%s\n' "$wanted" >.venv/.stamp-run
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --editable .
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

# Those of our packages that hold Python.
typed_packages() {
    local name
    for name in engine actions resources legacy_shim bench; do
        [ -z "$(find "$name" -name '*.py' -print -quit 2>/dev/null)" ] || printf '%s\n' "$name"
    done
}

# Lint, layout and types; all three run, whatever the first one says.
check_source() {
    local failed=0
    echo "== ruff check"
    .venv/bin/ruff check . || failed=1
    echo "== ruff format --check"
    .venv/bin/ruff format --check . || failed=1
    echo "== mypy --strict"
    # shellcheck disable=SC2046 # one word per package is meant
    .venv/bin/mypy --strict $(typed_packages) || failed=1
    return $failed
}
