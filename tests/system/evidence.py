# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is found on the nodes themselves, and in what a run printed, to hold against what was promised."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.nodes import Cluster, Node

from .playbook import Run, play

# Every file with its owner, mode, size and times (of content and of inode, which no program can set back), every file
# of ours with its hash, and every unit of ours with the process that it runs. Logins write to wtmpdb, and a run that is
# refused on the node held its lock in /run/everynode until then.
EVERYTHING = r"""
export LC_ALL=C
find /etc /var/lib /run/everynode -path /var/lib/wtmpdb -prune -o -path /run/everynode -print -o \
    -printf '%p %y %m %U %G %s %T@ %C@ %l\n' 2>/dev/null | sort
find /etc /var/lib/everynode /run/everynode -type f -exec sha256sum {} + 2>/dev/null | sort
systemctl show --all -p Id,LoadState,ActiveState,UnitFileState,InvocationID,MainPID,NRestarts 'everynode.*'
"""


def standing(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """What stands on each node, line by line: equal if and only if nothing was changed, started or stopped."""
    return {node.name: node.run(EVERYTHING).stdout.splitlines() for node in nodes}


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """The lines that are not in both, by node; empty if nothing was touched."""
    found = {name: sorted(set(before[name]) ^ set(after[name])) for name in before}
    return {name: lines for name, lines in found.items() if lines}


# The same where engines run: their storage has a life of its own, what they say of it counts. A
# refused revision may have been noted, and taken from the record again.
ALL_OF_ENGINES = r"""
export LC_ALL=C PODMAN_IGNORE_CGROUPSV1_WARNING=1
find /etc /run/everynode -path /run/everynode -o -printf '%p %y %m %U %G %s %T@ %C@ %l\n' 2>/dev/null | sort
find /var/lib/everynode -printf '%p %y %m %U %G %s %l\n' 2>/dev/null | sort
find /var/lib/everynode /run/everynode -type f -exec sha256sum {} + 2>/dev/null | sort
systemctl show --all -p Id,LoadState,ActiveState,UnitFileState,InvocationID,MainPID,NRestarts 'everynode.*'
for engine in docker podman; do
    command -v $engine >/dev/null || continue
    standing=$($engine ps --all --quiet --no-trunc)
    test -z "$standing" || $engine inspect --format \
        '{{.Id}} {{.Name}} {{.Image}} {{.State.Status}} {{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}' \
        $standing | sort
    $engine images --all --no-trunc --format 'image {{.ID}} {{.Repository}} {{.Tag}}' | sort
    $engine network ls --format 'network {{.Name}}' | sort
    $engine volume ls --quiet | sort
done
test -z "$(command -v podman)" || podman pod ps --format 'pod {{.Id}} {{.Name}} {{.Status}}' | sort
"""


def engines_standing(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """What stands on nodes with engines: equal if and only if nothing was changed, pulled, started or stopped."""
    return {node.name: node.run(ALL_OF_ENGINES).stdout.splitlines() for node in nodes}


def actions(run: Run) -> dict[str, list[str]]:
    """What each host's tasks say they did or would do, in order; of a run with -v."""
    found: dict[str, list[str]] = defaultdict(list)
    for host, result in re.findall(r"^(?:ok|changed): \[(\S+)\] => (\{.*\})$", run.output, re.MULTILINE):
        found[host] += json.loads(result).get("actions", [])
    return {host: done for host, done in found.items() if done}


def changes(run: Run) -> dict[str, int]:
    """The changed counter of every host of the recap."""
    return {host: counts["changed"] for host, counts in run.recap.items()}


def shown(run: Run) -> list[str]:
    """The differences that --diff printed, whichever node was first."""
    return sorted(line for line in run.output.splitlines() if re.match(r"[+-](?!{}$)", line))


def foretold_and_done(
    look: Callable[[], dict[str, list[str]]], secrets: Iterable[str], verb: str, inventory: Path, **variables: Any
) -> Run:
    """A dry run, which leaves every node as it is, and then a real one, which does exactly what the other told."""
    before = look()
    told = play(verb, inventory, "--check", "--diff", "-v", **variables)
    assert differences(before, look()) == {}
    done = play(verb, inventory, "--diff", "-v", **variables)
    assert (told.code, done.code) == (0, 0), told.output + done.output
    assert changes(told) == changes(done)
    assert actions(told) == actions(done)
    assert shown(told) == shown(done)
    for secret in secrets:
        assert secret not in told.output + done.output
    return done


def unit(name: str, namespace: str = "default") -> str:
    return f"everynode.{namespace}.{name}.service"


def invocations(nodes: Iterable[Node], name: str) -> dict[str, str]:
    """Another one says that it was started anew; empty where it does not run."""
    return {node.name: node.run(f"systemctl show -P InvocationID {unit(name)}").stdout.strip() for node in nodes}


def runs(node: Node, name: str, namespace: str = "default") -> bool:
    return node.run(f"systemctl is-active {unit(name, namespace)}", check=False).stdout.strip() == "active"


def where_it_runs(nodes: Iterable[Node], name: str) -> list[str]:
    return [node.name for node in nodes if runs(node, name)]


def process(node: Node, name: str) -> tuple[list[str], dict[str, str]]:
    """The words and the environment of the instance's process, as the kernel has them."""
    script = f"cd /proc/$(systemctl show -P MainPID {unit(name)}) && cat cmdline && echo ==== && cat environ"
    words, environment = node.run(script).stdout.split("====\n")
    pairs = (line.partition("=") for line in environment.split("\0") if line)
    return words.split("\0")[:-1], {key: value for key, _equals, value in pairs}


def inside(node: Node, name: str, command: str) -> str:
    """What a command prints in the mount namespace of the instance's process."""
    return node.run(f"nsenter --mount --target $(systemctl show -P MainPID {unit(name)}) {command}").stdout


def assert_clear(run: Run) -> None:
    """A refusal that a person can read: not zero, and no sign of a program that fell over."""
    assert run.code != 0, run.output
    for sign in ("Traceback", "Unexpected failure", "unhandled exception", "KeyError", "AttributeError"):
        assert sign not in run.output, run.output


def clean_up(cluster: Cluster, nodes: list[Node], folder: Path, names: Iterable[str]) -> None:
    """Deletes the DaemonSets of these names; afterwards no node has anything of ours."""
    inventory = cluster.write_inventory(nodes, path=folder / "inventory.yml")
    done = play("delete", inventory, daemonset_names=list(names))
    assert done.code == 0, done.output
    for node in nodes:
        left = node.run(
            "ls -d /var/lib/everynode /run/everynode /etc/systemd/system/*everynode* "
            "/etc/systemd/system/*/*everynode*;"
            "systemctl list-units --all --no-legend --plain 'everynode.*'",
            check=False,
        ).stdout
        assert left == "", f"{node.name}: {left}"
