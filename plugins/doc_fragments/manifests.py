# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The options that say what is declared, and for which hosts."""

    DOCUMENTATION = r"""
options:
  manifests:
    description:
      - Kubernetes manifests, as paths of files or folders, globs, or inline objects.
      - Relative paths are looked for in the current folder first, then where Ansible looks for a task's files.
      - A file that ends in C(.j2) is a template, rendered for each node with that node's variables. Any other file is
        data, whatever braces it holds.
    type: list
    elements: raw
    default: []
"""

    HOSTS = r"""
options:
  hosts:
    description:
      - The pattern of the hosts that are nodes, or a list of patterns. What C(--limit) leaves out counts for budgets.
    type: raw
    default: all
"""
