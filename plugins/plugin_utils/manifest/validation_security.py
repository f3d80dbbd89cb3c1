# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes' validation of both security contexts, the pod's and the containers'.

After pkg/apis/core/validation. All input is type-checked and defaulted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from . import names
from .errors import ErrorList
from .validation_scheduling import check_name
from .validation_volumes import check_relative_path

_PROFILE_TYPES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_MAX_PROFILE_NAME: Final = 4095
_SYSCTL: Final = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_MAX_SYSCTL: Final = 253
_IPC_SYSCTLS: Final = ("kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.msgmax")
_IPC_SYSCTL_PREFIXES: Final = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")


def check_pod_security_context(pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """``path`` is the pod spec's, as fields of both are compared."""
    context = pod.get("securityContext", {})
    where = f"{path}.securityContext"
    _check_ids(context, ("fsGroup", "runAsUser", "runAsGroup"), where, errors)
    for index, group in enumerate(context.get("supplementalGroups", [])):
        for message in names.numeric_id(group):
            errors.invalid(f"{where}.supplementalGroups[{index}]", group, message)
    if pod.get("shareProcessNamespace") and pod.get("hostPID"):
        # Kubernetes keeps this field in the internal security context, and prints that path.
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.invalid(f"{where}.shareProcessNamespace", True, detail)
    _check_sysctls(context.get("sysctls", []), pod, f"{where}.sysctls", errors)
    _check_choice(context, "fsGroupChangePolicy", ["Always", "OnRootMismatch"], where, errors)
    _check_choice(context, "supplementalGroupsPolicy", ["Merge", "Strict"], where, errors)
    _check_choice(context, "seLinuxChangePolicy", ["MountOption", "Recursive"], where, errors)
    _check_profiles(context, where, errors)


def check_container_security_context(
    context: Mapping[str, Any], path: str, errors: ErrorList, *, host_users: bool
) -> None:
    _check_ids(context, ("runAsUser", "runAsGroup"), path, errors)
    _check_choice(context, "procMount", ["Default", "Unmasked"], path, errors)
    if context.get("procMount") == "Unmasked" and host_users:
        errors.invalid(f"{path}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.invalid(path, context, detail)
        if "CAP_SYS_ADMIN" in context.get("capabilities", {}).get("add", []):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            errors.invalid(path, context, detail)
    _check_profiles(context, path, errors)


def _check_ids(context: Mapping[str, Any], fields: Sequence[str], path: str, errors: ErrorList) -> None:
    for field in fields:
        if field in context:
            for message in names.numeric_id(context[field]):
                errors.invalid(f"{path}.{field}", context[field], message)


def _check_choice(
    context: Mapping[str, Any], field: str, supported: Sequence[str], path: str, errors: ErrorList
) -> None:
    if field in context and context[field] not in supported:
        errors.not_supported(f"{path}.{field}", context[field], supported)


def _check_sysctls(sysctls: Sequence[Mapping[str, Any]], pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    seen: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        name, where = sysctl.get("name", ""), f"{path}[{index}].name"
        if not name:
            errors.required(where)
        elif len(name) > _MAX_SYSCTL or _SYSCTL.fullmatch(name) is None:
            errors.invalid(
                where, name, f"must have at most {_MAX_SYSCTL} characters and match regex ^{_SYSCTL.pattern}$"
            )
        elif name in seen:
            errors.duplicate(where, name)
        _check_host_sysctl(name.replace("/", "."), pod, where, errors)
        seen.add(name)


def _check_host_sysctl(name: str, pod: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    if pod.get("hostNetwork") and name.startswith("net."):
        errors.invalid(path, name, "may not be specified when 'hostNetwork' is true")
    elif pod.get("hostIPC") and (name in _IPC_SYSCTLS or name.startswith(_IPC_SYSCTL_PREFIXES)):
        errors.invalid(path, name, "may not be specified when 'hostIPC' is true")


def _check_profiles(context: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    if "seccompProfile" in context:
        _check_seccomp(context["seccompProfile"], f"{path}.seccompProfile", errors)
    if "appArmorProfile" in context:
        _check_app_armor(context["appArmorProfile"], f"{path}.appArmorProfile", errors)
    if "windowsOptions" in context:
        _check_windows_options(context["windowsOptions"], f"{path}.windowsOptions", errors)


def _check_profile_type(profile: Mapping[str, Any], field: str, path: str, errors: ErrorList) -> None:
    kind = profile.get("type", "")
    if not kind:
        errors.required(f"{path}.type", f"type is required when {field} is set")
    elif kind not in _PROFILE_TYPES:
        errors.not_supported(f"{path}.type", kind, _PROFILE_TYPES)


def _check_seccomp(profile: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    _check_profile_type(profile, "seccompProfile", path, errors)
    local = profile.get("localhostProfile")
    if profile.get("type") != "Localhost":
        if local is not None:
            errors.invalid(f"{path}.localhostProfile", local, "can only be set when seccomp type is Localhost")
    elif local is None:
        errors.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
    else:
        check_relative_path(local, f"{path}.localhostProfile", errors)


def _check_app_armor(profile: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    _check_profile_type(profile, "appArmorProfile", path, errors)
    local, where = profile.get("localhostProfile"), f"{path}.localhostProfile"
    if profile.get("type") in ("RuntimeDefault", "Unconfined"):
        if local is not None:
            errors.invalid(where, local, "can only be set when AppArmor type is Localhost")
    elif profile.get("type") == "Localhost":
        if not local:
            errors.required(where, "must be set when AppArmor type is Localhost")
        elif local != local.strip():
            errors.invalid(where, local, "must not be padded with whitespace")
        elif len(local) > _MAX_PROFILE_NAME:
            errors.too_long(where, _MAX_PROFILE_NAME)


def _check_windows_options(options: Mapping[str, Any], path: str, errors: ErrorList) -> None:
    """Only the form: Windows has no place here, see schema.py."""
    if "gmsaCredentialSpecName" in options:
        check_name(options["gmsaCredentialSpecName"], names.dns_subdomain, f"{path}.gmsaCredentialSpecName", errors)
    for field in ("gmsaCredentialSpec", "runAsUserName"):
        if options.get(field) == "":
            errors.invalid(f"{path}.{field}", "", f"{field} cannot be an empty string")
    user = options.get("runAsUserName", "")
    if re.search(r"[\x00-\x1f\x7f]", user):
        errors.invalid(f"{path}.runAsUserName", user, "runAsUserName cannot contain control characters")
    elif user.count("\\") > 1:
        errors.invalid(f"{path}.runAsUserName", user, "runAsUserName cannot contain more than one backslash")
