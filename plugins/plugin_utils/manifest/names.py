# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of names: what is wrong with a name, as a list of sentences (empty: it is valid).

After k8s.io/apimachinery ``pkg/util/validation``, with its sentences.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

MAX_LABEL: Final = 63
MAX_SUBDOMAIN: Final = 253
MAX_ID: Final = 2**31 - 1

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SUBDOMAIN_WITH_UNDERSCORE = r"[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HTTP_HEADER = "[-A-Za-z0-9]+"


def dns_label(value: str) -> list[str]:
    """RFC 1123 label: containers, volumes, namespaces."""
    return _too_long(value, MAX_LABEL) + _unless(
        _LABEL,
        value,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character (e.g. 'my-name',  or '123-abc'",
    )


def dns_subdomain(value: str) -> list[str]:
    """RFC 1123 subdomain: most objects' names."""
    return _too_long(value, MAX_SUBDOMAIN) + _unless(
        _SUBDOMAIN,
        value,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'example.com'",
    )


def dns_subdomain_with_underscore(value: str) -> list[str]:
    """DNS search domains."""
    return _too_long(value, MAX_SUBDOMAIN) + _unless(
        _SUBDOMAIN_WITH_UNDERSCORE,
        value,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must "
        "start and end with an alphanumeric character or an underscore (e.g. '_example.com'",
    )


def generate_name(value: str) -> list[str]:
    """A prefix of a generated name may end in a dash: only what is generated must be a name."""
    return dns_subdomain(f"{value[:-1]}a" if value.endswith("-") else value)


def qualified_name(value: str) -> list[str]:
    """``[prefix/]name``: label keys, annotation keys, resource names."""
    prefix, slash, name = value.rpartition("/")
    form = (
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
        "character (e.g. 'MyName',  or 'my.name',  or '123-abc'"
    )
    if "/" in prefix:
        return [
            f"a qualified name {form}, regex used for validation is '{_QUALIFIED}') with an optional DNS subdomain "
            "prefix and '/' (e.g. 'example.com/MyName')"
        ]
    messages = []
    if slash:
        messages += [f"prefix part {text}" for text in (dns_subdomain(prefix) if prefix else ["must be non-empty"])]
    if not name:
        return [*messages, "name part must be non-empty"]
    messages += [f"name part {text}" for text in _too_long(name, MAX_LABEL) + _unless(_QUALIFIED, name, form)]
    return messages


def label_value(value: str) -> list[str]:
    return _too_long(value, MAX_LABEL) + _unless(
        _LABEL_VALUE,
        value,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345'",
    )


def environment_name(value: str) -> list[str]:
    """The relaxed rule of Kubernetes 1.32 and newer."""
    if value and all(" " <= char <= "~" and char != "=" for char in value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def config_key(value: str) -> list[str]:
    """Keys of ConfigMaps and Secrets."""
    messages = _too_long(value, MAX_SUBDOMAIN) + _unless(
        _CONFIG_KEY,
        value,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
        "or 'KEY_NAME',  or 'key-name'",
    )
    if value in (".", ".."):
        messages.append(f"must not be '{value}'")
    elif value.startswith(".."):
        messages.append("must not start with '..'")
    return messages


def http_header(value: str) -> list[str]:
    form = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name'"
    return _unless(_HTTP_HEADER, value, form)


def port_number(value: int) -> list[str]:
    return in_range(value, 1, 65535)


def port_name(value: str) -> list[str]:
    """IANA service name (RFC 6335)."""
    messages = _too_long(value, 15)
    if re.fullmatch("[-a-z0-9]+", value) is None:
        messages.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if re.search("[a-z]", value) is None:
        messages.append("must contain at least one letter (a-z)")
    if "--" in value:
        messages.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        messages.append("must not begin or end with a hyphen")
    return messages


def numeric_id(value: int) -> list[str]:
    """User and group ids."""
    return in_range(value, 0, MAX_ID)


def ip_address(value: str) -> list[str]:
    # Kubernetes takes 010.1.2.3 as 10.1.2.3, as old manifests have it; Python refuses leading zeros.
    plain = re.sub(r"(?<![0-9a-fA-F:])0+(?=[0-9])", "", value) if re.fullmatch(r"[0-9.]+", value) else value
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if "%" not in value else ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]


def in_range(value: int, low: int, high: int) -> list[str]:
    return [] if low <= value <= high else [f"must be between {low} and {high}, inclusive"]


def _too_long(value: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} characters"] if len(value.encode()) > limit else []


def _unless(pattern: str, value: str, form: str) -> list[str]:
    """``form`` is a sentence that is left open inside its bracket, where Kubernetes puts the regular expression."""
    if re.fullmatch(pattern, value):
        return []
    return [f"{form}, regex used for validation is '{pattern}')"]
