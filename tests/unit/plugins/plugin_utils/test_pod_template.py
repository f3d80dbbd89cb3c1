# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.everynode.daemonset.plugins.plugin_utils.manifest.model import load
from ansible_collections.everynode.daemonset.plugins.plugin_utils.pod_template import tabbed, template_lines

EVERYTHING = """
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: very-secret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: high}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent, tier: node}, annotations: {note: read me}}
    spec:
      hostNetwork: true
      priorityClassName: system-node-critical
      nodeSelector: {disk: ssd}
      tolerations:
        - operator: Exists
        - {key: b, effect: NoExecute, operator: Exists, tolerationSeconds: 60}
        - {key: a, value: x}
      initContainers:
        - {name: prepare, image: "prepare:1", command: [/bin/prepare]}
      containers:
        - name: main
          image: agent:2
          command: [/bin/agent]
          args: [--level, $(LEVEL)]
          ports: [{containerPort: 80, name: http}, {containerPort: 53, protocol: UDP}]
          envFrom:
            - {configMapRef: {name: settings}}
            - {prefix: K_, secretRef: {name: keys, optional: true}}
          env:
            - {name: PLAIN, value: "1"}
            - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
            - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}
            - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
            - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
          resources: {limits: {cpu: 250m, memory: 64Mi}, requests: {memory: 32Mi}}
          livenessProbe: {httpGet: {port: 80, path: /live}, periodSeconds: 5}
          readinessProbe: {exec: {command: [test, -e, /ok]}}
          startupProbe: {tcpSocket: {port: 80}, failureThreshold: 9}
          volumeMounts:
            - {name: logs, mountPath: /var/log, readOnly: true, subPath: agent}
            - {name: keys, mountPath: /keys}
      volumes:
        - {name: logs, hostPath: {path: /var/log, type: Directory}}
        - {name: keys, secret: {secretName: keys}}
        - {name: work, emptyDir: {}}
        - {name: settings, configMap: {name: settings, optional: true}}
        - name: all
          projected:
            sources:
              - {secret: {name: keys}}
              - {configMap: {name: settings}}
              - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
"""

PRINTED = """\
Pod Template:
  Labels:       app=agent
                tier=node
  Annotations:  note: read me
  Init Containers:
   prepare:
    Image:      prepare:1
    Port:       <none>
    Host Port:  <none>
    Command:
      /bin/prepare
    Environment:  <none>
    Mounts:       <none>
  Containers:
   main:
    Image:       agent:2
    Ports:       80/TCP (http), 53/UDP
    Host Ports:  0/TCP (http), 0/UDP
    Command:
      /bin/agent
    Args:
      --level
      $(LEVEL)
    Limits:
      cpu:     250m
      memory:  64Mi
    Requests:
      memory:   32Mi
    Liveness:   http-get http://:80/live delay=0s timeout=1s period=5s successThreshold=1 failureThreshold=3
    Readiness:  exec [test -e /ok] delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=3
    Startup:    tcp-socket :80 delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=9
    Environment Variables from:
      settings  ConfigMap                Optional: false
      keys      Secret with prefix 'K_'  Optional: true
    Environment:
      PLAIN:  1
      LEVEL:  <set to the key 'level' of config map 'settings'>  Optional: false
      TOKEN:  <set to the key 'token' in secret 'keys'>          Optional: false
      NODE:    (v1:spec.nodeName)
      LIMIT:   (limits.cpu)
    Mounts:
      /keys from keys (rw)
      /var/log from logs (ro,path="agent")
  Volumes:
   logs:
    Type:          HostPath (bare host directory volume)
    Path:          /var/log
    HostPathType:  Directory
   keys:
    Type:        Secret (a volume populated by a Secret)
    SecretName:  keys
    Optional:    false
   work:
    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:
    SizeLimit:  <unset>
   settings:
    Type:      ConfigMap (a volume populated by a ConfigMap)
    Name:      settings
    Optional:  true
   all:
    Type:               Projected (a volume that contains injected data from multiple sources)
    SecretName:         keys
    Optional:           false
    ConfigMapName:      settings
    Optional:           false
    DownwardAPI:        true
  Priority Class Name:  system-node-critical
  Node-Selectors:       disk=ssd
  Tolerations:          op=Exists
                        a=x
                        b:NoExecute op=Exists for 60s"""


def test_as_kubectl_prints_it() -> None:
    (daemonset,) = load([("agent.yaml", EVERYTHING)]).daemonsets
    assert tabbed(template_lines(daemonset.template)).split("\n") == PRINTED.split("\n")


def test_columns_are_as_wide_as_their_neighbours_need() -> None:
    assert tabbed(["a\tb", "ccc\td\te", "alone", "x\ty"]) == "a    b\nccc  d  e\nalone\nx  y"
    assert tabbed([]) == ""
