# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user declared, as the actions of the playbooks get it: options → manifests and nodes, or plain words."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from .. import prune
from ..desired import not_feasible
from ..int_or_percent import scaled_value
from ..loglines import since_of
from ..manifest.model import Manifests
from ..manifest.names import dns_label, dns_subdomain
from ..scheduling import Node
from ..selectors import parse_selector
from ..words import names as listed
from ..words import nodes_of
from .nodes import Inventory, names_matching
from .sources import SourceError, load_for_nodes, read_sources
from .terminal import OUTPUTS

display = Display()

MANIFESTS: dict[str, Any] = {"type": "list", "elements": "raw", "default": []}
HOSTS: dict[str, Any] = {"type": "raw", "default": "all"}
OBSERVED: dict[str, Any] = {"type": "str", "default": "everynode_observed"}
NAMES: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
REPORT_FILES: dict[str, dict[str, Any]] = dict.fromkeys(("output_file", "metrics_file", "page"), {"type": "path"})
QUESTION: dict[str, dict[str, Any]] = {
    "since": {"type": "str", "default": ""},
    "node_selector": {"type": "str", "default": ""},
}
PRUNE: dict[str, Any] = NAMES
MAX_REMOVALS: dict[str, Any] = {"type": "str", "default": prune.MAX_REMOVALS}


def options(action: ActionBase, specification: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The task's arguments, checked as a module's would be. A single inline object may stand without a list."""
    arguments = action._task.args
    if isinstance(arguments.get("manifests"), Mapping):
        arguments["manifests"] = [arguments["manifests"]]
    _result, checked = action.validate_argument_spec(argument_spec=specification)
    return dict(checked)


def signature() -> str:
    """Who wants it and when, for a node to remember."""
    return f"{getpass.getuser()}@{os.uname().nodename} at {time.strftime('%Y-%m-%d %H:%M %Z')}"


def search_path(task_vars: Mapping[str, Any]) -> list[str]:
    """Where relative paths are looked for: the current folder first, then where Ansible looks for a task's files."""
    folders = [os.getcwd()]
    for folder in task_vars.get("ansible_search_path", []):
        folders += [str(folder), os.path.join(str(folder), "files")]
    return list(dict.fromkeys(folders))


def node_names(action: ActionBase, task_vars: Mapping[str, Any], pattern: Any) -> list[str]:
    text = pattern if isinstance(pattern, str) else ":".join(pattern)
    return names_matching(str(text), task_vars["groups"], action._loader)


def key_of(name: str) -> tuple[str, str]:
    """[NAMESPACE/]NAME → (namespace, name)."""
    namespace, slash, rest = name.strip().partition("/")
    return (namespace, rest) if slash else ("default", namespace)


def name_problems(names: Iterable[str]) -> list[str]:
    """A line for each of these that no DaemonSet can have as [NAMESPACE/]NAME."""
    lines = []
    for text in names:
        namespace, name = key_of(text)
        wrong = [*dns_label(namespace), *dns_subdomain(name)]
        if wrong:
            lines.append(f'"{text}" is no [NAMESPACE/]NAME of a DaemonSet: {wrong[0]}')
    return lines


def question_problems(options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the choice of log lines."""
    lines = []
    for name, read in (("since", since_of), ("node_selector", parse_selector)):
        try:
            read(options[name])
        except ValueError as error:
            lines.append(f'daemonset_{name} is "{options[name]}": {error}')
    return lines


def removal_problems(scope: Iterable[str], max_removals: str) -> list[str]:
    """A line for each thing that is wrong with what may be removed, and how much of it."""
    lines = [
        f'daemonset_prune: "{namespace}" is no namespace: {dns_label(namespace)[0]}'
        for namespace in scope
        if dns_label(namespace)
    ]
    try:
        prune.limit_of(max_removals)
    except ValueError:
        lines.append(f'daemonset_max_removals is "{max_removals}": expected a number, or a percentage such as 25%')
    return lines


def drain_problems(task_vars: Mapping[str, Any], nodes: Sequence[str], names: Sequence[str], limit: str) -> list[str]:
    """Why these of all ``names`` cannot be drained, or not all at once."""
    if not nodes:
        return ["say which node is meant: -e daemonset_node=NODE, which has to match a host of the inventory"]
    left_out = [node for node in nodes if node not in task_vars["ansible_play_hosts_all"]]
    if left_out:
        return [f"--limit or daemonset_hosts leaves {', '.join(left_out)} out, and -e daemonset_node names it"]
    allowed = scaled_value(prune.limit_of(limit), len(names))
    if len(nodes) <= allowed:
        return []
    return [
        f"{len(nodes)} of {nodes_of(len(names))} would be drained: {listed(nodes)}\n"
        f"{prune.too_much(limit, allowed, len(nodes))}"
    ]


def output_problems(options: Mapping[str, Any]) -> list[str]:
    """What would keep the report from being written, found out before anything is done."""
    lines = []
    if options["output"] not in OUTPUTS:
        expected = f"{', '.join(OUTPUTS[:-1])} or {OUTPUTS[-1]}"
        lines.append(f'daemonset_output is "{options["output"]}": expected {expected}')
    for name in REPORT_FILES:
        if options[name] is not None:
            lines += _file_problems(f"daemonset_{name}", options[name])
    return lines


def _file_problems(variable: str, path: str) -> list[str]:
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        return [f"{variable}: {path} is a folder, expected a file"]
    if not os.path.isdir(folder):
        return [f"{variable}: {path} cannot be written: there is no folder {folder}"]
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return [f"{variable}: {path} cannot be written: Permission denied"]
    return []


def load_manifests(
    action: ActionBase,
    task_vars: Mapping[str, Any],
    manifests: Sequence[Any],
    names: Iterable[str],
    inventory: Inventory,
) -> dict[str, Manifests]:
    """The manifests as each of these nodes gets them. Raises SourceError."""
    sources = read_sources(action._loader, manifests, search_path(task_vars))
    return load_for_nodes(sources, names, inventory.raw_variables, action._templar)


def load_everything(
    action: ActionBase,
    task_vars: Mapping[str, Any],
    manifests: Sequence[Any],
    names: Sequence[str],
    inventory: Inventory,
    other_errors: Sequence[str] = (),
) -> tuple[dict[str, Manifests], dict[str, Node]]:
    """Manifests and nodes; all that is wrong with either is printed, line by line, before the task fails."""
    errors = list(other_errors)
    nodes: dict[str, Node] = {}
    loaded: dict[str, Manifests] = {}
    try:
        nodes = inventory.nodes(names, {})
    except ValueError as error:
        errors += str(error).split("\n")
    try:
        loaded = load_manifests(action, task_vars, manifests, names, inventory)
    except SourceError as error:
        errors += str(error).split("\n")
    if not errors:
        errors += [str(error) for error in not_feasible(loaded, nodes)]
    if errors:
        refuse(errors)
    return loaded, nodes


def refuse(errors: Sequence[str]) -> None:
    """Print what is wrong as plain lines, which a task's result cannot do, and fail."""
    for line in errors:
        display.display(line, color="red")
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    raise AnsibleActionFail(
        f"{count} in the manifests, the inventory or the options, listed above; no node was touched."
    )


def notes(loaded: Mapping[str, Manifests]) -> list[str]:
    """What was read and will not have any effect, each thing once."""
    skipped: dict[str, dict[str, None]] = {}
    lines: dict[str, None] = {}
    for manifests in {id(manifests): manifests for manifests in loaded.values()}.values():
        for document in manifests.skipped:
            skipped.setdefault(document.source, {})[f"{document.kind} {document.name}"] = None
        for remark in manifests.without_effect:
            lines[f"{remark.source}: {remark.path} has no effect here: {remark.message}"] = None
    passed_over = [
        f"{source}: skipped, for it means nothing without a Kubernetes API: {', '.join(documents)}"
        for source, documents in skipped.items()
    ]
    return [*passed_over, *lines]
