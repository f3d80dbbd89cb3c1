#!/usr/bin/env bash
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the checkout ready to work in: a virtual environment with pinned packages, and a folder in which Ansible finds the
# collection. Quick when there is nothing to do.
#
#   scripts/setup.sh            .venv: the oldest supported ansible-core and all tools
#   scripts/setup.sh newest     .venv-newest: the newest supported ansible-core and what the tests need; does nothing, and says
#                               so, where there is no Python 3.12

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# The Python to make .venv with is not that of an older .venv.
PATH=${PATH//"$PWD/.venv/bin:"/}

fail() {
    echo "setup: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        fail "root or sudo is needed to run: $*"
    fi
}

apt_install() {
    command -v apt-get > /dev/null || fail "please install what your distribution calls $*: there is no apt-get here"
    echo "  Installing $* from the distribution" >&2
    as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get -qq -o DPkg::Lock::Timeout=300 update &&
        apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"' sh "$@" > /dev/null ||
        fail "apt could not install $*"
}

# Prints the first Python of at least 3.$1; of those, the system's own comes first.
find_python() {
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13 python3.14 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python3; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info < (3, $1))" 2> /dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

# A connection that fails ends in "no matching distribution": the connection is the news.
pip_complaint() {
    grep --only-matching 'connection broken by .*' "$1" | tail -1 | grep . || grep '^ERROR' "$1" | tail -1
}

# make_venv FOLDER PYTHON REQUIREMENTS...
make_venv() {
    local venv=$1 python=$2 log
    shift 2
    local stamp="$PWD $("$python" -V) $(cat requirements/*.txt | sha256sum)"
    if [ "$(cat "$venv/ready" 2> /dev/null)" = "$stamp" ]; then
        return
    fi
    "$python" -c 'import ensurepip, venv' 2> /dev/null ||
        apt_install "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    echo "  Making $venv ($("$python" -V))" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
    mkdir -p .cache
    log=.cache/pip.log
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet "${@/#/--requirement=requirements/}" > "$log" 2>&1 ||
        fail "pip could not install the packages: $(pip_complaint "$log"); all of it is in $log"
    echo "$stamp" > "$venv/ready"
}

link_collection() {
    local tree=.cache/collections/ansible_collections/everynode
    mkdir -p "$tree"
    ln -sfn ../../../.. "$tree/daemonset"
}

if [ "${1-}" = newest ]; then
    if python=$(find_python 12); then
        make_venv .venv-newest "$python" core-newest.txt tests.txt
    else
        echo "There is no Python 3.12 here: nothing is tested on the newest ansible-core."
    fi
else
    find_python 11 > /dev/null || apt_install python3 python3-venv
    python=$(find_python 11) || fail "Python 3.11 or newer is needed, and $(python3 -V) is all there is"
    make_venv .venv "$python" develop.txt
    link_collection
fi
