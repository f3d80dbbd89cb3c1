# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod template as ``kubectl describe`` prints it. Of a Secret it says the name and the key, never what is in it.

Lines are made with tabs between their columns, see `tabbed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

NONE = "<none>"
GAP = 2  # kubectl: tabwriter with padding 2

Object = Mapping[str, Any]


def tabbed(lines: Iterable[str]) -> str:
    """As Go's text/tabwriter: a column is as wide as its widest cell in lines that follow each other and have it."""
    rows = [line.split("\t") for line in lines]
    _align(rows, 0, len(rows), 0)
    return "\n".join("".join(row).rstrip() for row in rows)


def _align(rows: list[list[str]], begin: int, end: int, column: int) -> None:
    """What comes after the last tab of a line belongs to no column."""
    while begin < end:
        after = begin
        while after < end and column < len(rows[after]) - 1:
            after += 1
        block = rows[begin:after]
        width = max((len(row[column]) for row in block), default=0) + GAP
        for row in block:
            row[column] = row[column].ljust(width)
        if block:
            _align(rows, begin, after, column + 1)
        begin = max(after, begin + 1)


def pairs(title: str, mapping: Mapping[str, str], indent: str = "", separator: str = "=") -> list[str]:
    """``Labels:  a=b``, each further one in a line of its own below it."""
    return titled(title, [f"{key}{separator}{value}" for key, value in sorted(mapping.items())], indent)


def titled(title: str, texts: Sequence[str], indent: str = "") -> list[str]:
    lines = [line for text in texts for line in text.split("\n")] or [NONE]
    return [f"{indent}{title}:\t{lines[0]}", *(f"{indent}\t{line}" for line in lines[1:])]


def template_lines(template: Object) -> list[str]:
    metadata, pod = template.get("metadata", {}), template["spec"]
    lines = ["Pod Template:", *pairs("Labels", metadata.get("labels", {}), "  ")]
    if metadata.get("annotations"):
        lines += pairs("Annotations", metadata["annotations"], "  ", ": ")
    if pod.get("serviceAccountName"):
        lines.append(f"  Service Account:\t{pod['serviceAccountName']}")
    if pod.get("initContainers"):
        lines += ["  Init Containers:", *_containers(pod["initContainers"])]
    lines += ["  Containers:", *_containers(pod["containers"])]
    lines += ["  Volumes:", *_volumes(pod["volumes"])] if pod.get("volumes") else [f"  Volumes:\t{NONE}"]
    if pod.get("priorityClassName"):
        lines.append(f"  Priority Class Name:\t{pod['priorityClassName']}")
    lines += pairs("Node-Selectors", pod.get("nodeSelector", {}), "  ")
    tolerations = sorted(pod.get("tolerations", []), key=lambda one: str(one.get("key", "")))
    return lines + titled("Tolerations", list(map(_toleration, tolerations)), "  ")


def _containers(containers: Iterable[Object]) -> Iterator[str]:
    for container in containers:
        yield f"   {container['name']}:"
        yield f"    Image:\t{container['image']}"
        yield from _ports(container.get("ports", []))
        for title, words in (("Command", container.get("command")), ("Args", container.get("args"))):
            if words:
                yield f"    {title}:"
                yield from (f"      {line}" for word in words for line in str(word).split("\n"))
        for title in ("Limits", "Requests"):
            amounts = container.get("resources", {}).get(title.lower())
            if amounts:
                yield f"    {title}:"
                yield from (f"      {name}:\t{amount}" for name, amount in sorted(amounts.items()))
        for title in ("Liveness", "Readiness", "Startup"):
            if f"{title.lower()}Probe" in container:
                yield f"    {title}:\t{_probe(container[f'{title.lower()}Probe'])}"
        yield from _environment(container)
        mounts = sorted(container.get("volumeMounts", []), key=lambda mount: str(mount["mountPath"]))
        yield "    Mounts:" if mounts else f"    Mounts:\t{NONE}"
        yield from (f"      {mount['mountPath']} from {mount['name']} ({_mount(mount)})" for mount in mounts)


def _ports(ports: Sequence[Object]) -> Iterator[str]:
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        numbers = [
            f"{port.get(field, 0)}/{port.get('protocol', 'TCP')}" + (f" ({port['name']})" if port.get("name") else "")
            for port in ports
        ]
        yield f"    {title}{'s' if len(ports) > 1 else ''}:\t{', '.join(numbers) or NONE}"


def _probe(probe: Object) -> str:
    numbers = (
        ("delay", "initialDelaySeconds", 0, "s"),
        ("timeout", "timeoutSeconds", 1, "s"),
        ("period", "periodSeconds", 10, "s"),
        ("successThreshold", "successThreshold", 1, ""),
        ("failureThreshold", "failureThreshold", 3, ""),
    )
    said = (f"{name}={probe.get(field) or default}{unit}" for name, field, default, unit in numbers)
    return f"{_handler(probe)} {' '.join(said)}"


def _handler(probe: Object) -> str:
    if "exec" in probe:
        return f"exec [{' '.join(map(str, probe['exec'].get('command', [])))}]"
    if "httpGet" in probe:
        action = probe["httpGet"]
        scheme = str(action.get("scheme", "HTTP")).lower()
        return f"http-get {scheme}://{action.get('host', '')}:{action['port']}{action.get('path', '/')}"
    if "tcpSocket" in probe:
        return f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket']['port']}"
    if "grpc" in probe:
        return f"grpc <pod>:{probe['grpc']['port']} {probe['grpc'].get('service') or ''}".rstrip()
    return "unknown"


def _environment(container: Object) -> Iterator[str]:
    if container.get("envFrom"):
        yield "    Environment Variables from:"
    for source in container.get("envFrom", []):
        kind, reference = ("ConfigMap", source.get("configMapRef")) if "configMapRef" in source else ("Secret", None)
        reference = reference or source.get("secretRef") or {}
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        yield f"      {reference.get('name', '')}\t{kind}{prefix}\tOptional: {_flag(reference)}"
    variables = container.get("env", [])
    yield "    Environment:" if variables else f"    Environment:\t{NONE}"
    for variable in variables:
        first, *others = _value(variable).split("\n")
        yield f"      {variable['name']}:\t{first}"
        yield from (f"      \t{line}" for line in others)


KEYS_OF = {"secretKeyRef": "in secret", "configMapKeyRef": "of config map"}


def _value(variable: Object) -> str:
    source = variable.get("valueFrom", {})
    for kind, words in KEYS_OF.items():
        if kind in source:
            reference = source[kind]
            return f"<set to the key '{reference['key']}' {words} '{reference['name']}'>\tOptional: {_flag(reference)}"
    if "fieldRef" in source:
        return f" ({source['fieldRef'].get('apiVersion', 'v1')}:{source['fieldRef']['fieldPath']})"
    if "resourceFieldRef" in source:
        return f" ({source['resourceFieldRef']['resource']})"
    return str(variable.get("value") or "").expandtabs(4)


def _mount(mount: Object) -> str:
    path = mount.get("subPath") or mount.get("subPathExpr")
    return ("ro" if mount.get("readOnly") else "rw") + (f',path="{path}"' if path else "")


VOLUMES = {
    "hostPath": "HostPath (bare host directory volume)",
    "emptyDir": "EmptyDir (a temporary directory that shares a pod's lifetime)",
    "configMap": "ConfigMap (a volume populated by a ConfigMap)",
    "secret": "Secret (a volume populated by a Secret)",
    "downwardAPI": "DownwardAPI (a volume populated by information about the pod)",
    "projected": "Projected (a volume that contains injected data from multiple sources)",
}


def _volumes(volumes: Iterable[Object]) -> Iterator[str]:
    for volume in volumes:
        yield f"   {volume['name']}:"
        kind = next((kind for kind in VOLUMES if kind in volume), "")
        yield f"    Type:\t{VOLUMES.get(kind, ', '.join(sorted(set(volume) - {'name'})))}"
        yield from (f"    {line}" for line in _volume(kind, volume.get(kind) or {}))


def _volume(kind: str, source: Object) -> list[str]:
    if kind == "hostPath":
        return [f"Path:\t{source['path']}", f"HostPathType:\t{source.get('type', '')}"]
    if kind == "emptyDir":
        return [f"Medium:\t{source.get('medium', '')}", f"SizeLimit:\t{source.get('sizeLimit', '<unset>')}"]
    if kind == "configMap":
        return [f"Name:\t{source.get('name', '')}", f"Optional:\t{_flag(source)}"]
    if kind == "secret":
        return [f"SecretName:\t{source.get('secretName', '')}", f"Optional:\t{_flag(source)}"]
    if kind == "downwardAPI":
        return ["Items:", *(f"  {_field(item)} -> {item['path']}" for item in source.get("items", []))]
    return [line for one in source.get("sources", []) for line in _projected(one)]


def _projected(source: Object) -> list[str]:
    if "secret" in source:
        return [f"SecretName:\t{source['secret'].get('name', '')}", f"Optional:\t{_flag(source['secret'])}"]
    if "configMap" in source:
        return [f"ConfigMapName:\t{source['configMap'].get('name', '')}", f"Optional:\t{_flag(source['configMap'])}"]
    return [f"{'DownwardAPI' if 'downwardAPI' in source else ', '.join(source)}:\ttrue"]


def _field(item: Object) -> str:
    return str(item.get("fieldRef", {}).get("fieldPath") or item.get("resourceFieldRef", {}).get("resource", ""))


def _flag(reference: Object) -> str:
    return str(bool(reference.get("optional"))).lower()


def _toleration(toleration: Object) -> str:
    key, value, effect = (str(toleration.get(name) or "") for name in ("key", "value", "effect"))
    text = key + (f"={value}" if value else "") + (f":{effect}" if effect else "")
    if toleration.get("operator") == "Exists" and not value:
        text += " op=Exists" if text else "op=Exists"
    seconds = toleration.get("tolerationSeconds")
    return text if seconds is None else f"{text} for {seconds}s"
