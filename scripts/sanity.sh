#!/usr/bin/env bash
# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs `ansible-test sanity` with the ansible-core of the virtual environment given as the first argument.
#
# ansible-test wants to stand in a real folder ansible_collections/everynode/daemonset, and refuses a link to one: it gets
# a copy.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=$PWD/$1

# tests/data stays behind: it holds other people's manifests as they wrote them.
# The copy is a repository of its own, or ansible-test would see that git ignores all that lies in .cache.
copy=.cache/sanity$1/ansible_collections/everynode/daemonset
rm -rf "$copy"
mkdir -p "$copy"
git init --quiet "$copy"
git ls-files -z --cached --others --exclude-standard -- . ':!tests/data' |
    while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done | tar --create --null --files-from=- | tar --extract --directory "$copy"

# ansible-test makes virtual environments with a get-pip script that it downloads from a site of its own, unless it lies here.
# The pip that comes with Python does as well, and then only the Python package index is needed.
script=$("$venv/bin/python" - << 'PYTHON'
import re
from pathlib import Path
import ansible_test
text = Path(ansible_test.__path__[0], "_internal/python_requirements.py").read_text()
print("get_pip_%s.py" % re.search(r"\bpip='([\d.]+)'", text).group(1).replace(".", "_"))
PYTHON
)
mkdir -p ~/.ansible/test/cache
[ -e ~/.ansible/test/cache/"$script" ] ||
    echo 'import ensurepip; ensurepip.bootstrap(default_pip=True)' > ~/.ansible/test/cache/"$script"

# What the nodes run is checked with every Python that is here. pyenv's stand-ins (shims) answer for versions that they then
# do not run: the real ones instead.
path=$(tr : '\n' <<< "$PATH" | grep -v '/shims$' | paste -sd :)
for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin; do
    if [ -d "$folder" ]; then path=$path:$folder; fi
done
export PATH=$venv/bin:$path

# Two at the same time would make the same virtual environments.
cd "$copy"
exec flock ~/.ansible/test/lock ansible-test sanity --local --color no
