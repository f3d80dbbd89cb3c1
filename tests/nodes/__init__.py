# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Throwaway nodes for the demo, the tests, Molecule and the benchmarks: real systemd, real sshd, in containers."""

from .cluster import Cluster
from .errors import NodesError
from .node import Node, NodeSpec
from .registry import Registry

__all__ = ["Cluster", "Node", "NodeSpec", "NodesError", "Registry"]
