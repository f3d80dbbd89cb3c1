# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The annotations ``everynode/…`` of a DaemonSet: what they say, and what is wrong with them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from ..maintenance import parse as parse_windows
from ..policy import CONTINUE, ON_FAILURE, PACES, Canary, Policy, Step
from ..selectors import label_key_problems
from .errors import ErrorList

PREFIX: Final = "everynode/"
REPLACES: Final = "everynode/replaces"
VALIDATE: Final = "everynode/validate"
_ON_FAILURE: Final = "everynode/on-failure"
_MAX_FAILURES: Final = "everynode/max-failures"
_MAX_UNREACHABLE: Final = "everynode/max-unreachable"
_STEPS: Final = "everynode/steps"
_CANARY: Final = "everynode/canary"
_TOPOLOGY: Final = "everynode/topology"
_PARTITION: Final = "everynode/partition"
_PACE: Final = "everynode/pace"
_WINDOW: Final = "everynode/window"
_PAUSED: Final = "everynode/paused"
_CONFIRM_TIMEOUT: Final = "everynode/confirm-timeout"
KNOWN: Final = (
    REPLACES,
    VALIDATE,
    _ON_FAILURE,
    _MAX_FAILURES,
    _MAX_UNREACHABLE,
    _STEPS,
    _CANARY,
    _TOPOLOGY,
    _PARTITION,
    _PACE,
    _WINDOW,
    _PAUSED,
    _CONFIRM_TIMEOUT,
)

_UNIT_NAME: Final = re.compile(
    r"[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\@-]+)?\.(?:service|socket|timer|path|target|mount|automount|swap|slice)"
)
_DURATION: Final = re.compile("(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?")
_NUMBER: Final = re.compile("[0-9]{1,9}")
_PERCENTAGE: Final = re.compile("([0-9]{1,3})%")

Parsed = TypeVar("Parsed")


def check_annotations(annotations: Mapping[str, str], errors: ErrorList) -> None:
    """Report what is unknown or wrong."""
    for key in annotations:
        if key.startswith(PREFIX) and key not in KNOWN:
            errors.not_supported(f"metadata.annotations[{key}]", key, KNOWN)
    _check_replaces(annotations, errors)
    _check_validate(annotations, errors)
    read_policy(annotations, errors)


def policy_of(annotations: Mapping[str, str]) -> Policy:
    """What annotations that were checked say of rollouts."""
    return read_policy(annotations, ErrorList())


def read_policy(annotations: Mapping[str, str], errors: ErrorList) -> Policy:
    """What the annotations say of rollouts, with its default for what is wrong, which is reported."""

    def read(key: str, parse: Callable[[str], Parsed], default: Parsed) -> Parsed:
        """``parse`` raises ValueError with what was expected."""
        if key not in annotations:
            return default
        try:
            return parse(annotations[key].strip())
        except ValueError as error:
            errors.invalid(f"metadata.annotations[{key}]", annotations[key], str(error))
            return default

    policy = Policy(
        on_failure=read(_ON_FAILURE, _one_of(ON_FAILURE), Policy.on_failure),
        max_failures=read(_MAX_FAILURES, number_or_percentage, Policy.max_failures),
        max_unreachable=read(_MAX_UNREACHABLE, number_or_percentage, Policy.max_unreachable),
        steps=read(_STEPS, parse_steps, ()),
        canary=read(_CANARY, parse_canary, None),
        topology=read(_TOPOLOGY, _label_key, ""),
        partition=read(_PARTITION, number_or_percentage, Policy.partition),
        pace=read(_PACE, _one_of(PACES), Policy.pace),
        window=read(_WINDOW, _window, ""),
        paused=read(_PAUSED, _one_of(("true", "false")), "false") == "true",
        confirm_timeout=read(_CONFIRM_TIMEOUT, parse_duration, Policy.confirm_timeout),
    )
    if _MAX_FAILURES in annotations and policy.on_failure != CONTINUE:
        errors.forbidden(
            f"metadata.annotations[{_MAX_FAILURES}]",
            f"may only be set with {_ON_FAILURE}: {CONTINUE}; otherwise the first failure halts the rollout",
        )
    return policy


def parse_duration(text: str) -> int:
    """Seconds of 30s, 10m, 2h or 1h30m. Raises ValueError."""
    parts = _DURATION.fullmatch(text)
    hours, minutes, rest = (int(number or 0) for number in parts.groups()) if parts else (0, 0, 0)
    seconds = 3600 * hours + 60 * minutes + rest
    if not seconds:
        raise ValueError("expected a duration such as 30s, 10m, 2h or 1h30m")
    return seconds


def number_or_percentage(text: str) -> int | str:
    """A number of nodes, or a percentage as text. Raises ValueError."""
    if _NUMBER.fullmatch(text):
        return int(text)
    percentage = _PERCENTAGE.fullmatch(text)
    if percentage is None or int(percentage[1]) > 100:
        raise ValueError("expected a number of nodes, or a percentage of the eligible ones up to 100%")
    return text


def parse_steps(text: str) -> tuple[Step, ...]:
    """Raises ValueError. Whether 3 is less than 10% depends on the nodes, so only like is compared with like."""
    steps = tuple(_step(part.split()) for part in text.split(","))
    for alike in ([step.nodes for step in steps if isinstance(step.nodes, kind)] for kind in (int, str)):
        sizes = [int(str(nodes).rstrip("%")) for nodes in alike]
        if any(size >= following for size, following in zip(sizes, sizes[1:], strict=False)) or 0 in sizes:
            raise ValueError(
                "each step is the number of all nodes updated until then: it must be more than the one before"
            )
    return steps


def parse_canary(text: str) -> Canary:
    """Raises ValueError."""
    keys = [word.removeprefix("one-per=") for word in text.split() if word.startswith("one-per=")]
    if len(keys) != 1:
        raise ValueError("expected one-per=LABEL[,LABEL] [bake=DURATION] [pause]")
    labels = tuple(_label_key(key) for key in keys[0].split(","))
    bake, pause = _what_follows([word for word in text.split() if not word.startswith("one-per=")])
    return Canary(labels, bake, pause)


def _step(words: list[str]) -> Step:
    if not words:
        raise ValueError("expected steps separated by commas, such as: 1 pause, 10% bake=10m, 100%")
    bake, pause = _what_follows(words[1:])
    return Step(number_or_percentage(words[0]), bake, pause)


def _what_follows(words: list[str]) -> tuple[int, bool]:
    """The seconds to bake, and whether to pause, after a step."""
    bakes = [word.removeprefix("bake=") for word in words if word.startswith("bake=")]
    others = [word for word in words if not word.startswith("bake=")]
    if len(bakes) > 1 or others not in ([], ["pause"]):
        raise ValueError(f"expected nothing but bake=DURATION and pause after it, found {' '.join(words)}")
    return parse_duration(bakes[0]) if bakes else 0, bool(others)


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected {', '.join(choices[:-1])} or {choices[-1]}")
        return text

    return parse


def _label_key(text: str) -> str:
    problems = label_key_problems(text)
    if problems:
        raise ValueError(f"expected the key of a label: {'; '.join(problems)}")
    return text


def _window(text: str) -> str:
    parse_windows(text or "-")
    return text


def _check_replaces(annotations: Mapping[str, str], errors: ErrorList) -> None:
    for unit in annotations.get(REPLACES, "").split(","):
        if unit.strip() and _UNIT_NAME.fullmatch(unit.strip()) is None:
            detail = (
                "expected full names of systemd units that can be stopped, not templates, separated by commas, "
                "such as prometheus-node-exporter.service"
            )
            errors.invalid(f"metadata.annotations[{REPLACES}]", unit.strip(), detail)


def _check_validate(annotations: Mapping[str, str], errors: ErrorList) -> None:
    try:
        command = validation_command(annotations)
    except ValueError as error:
        shown = annotations[VALIDATE]
        detail = f"expected a command, quoted as for a shell: {str(error).lower()}"
        errors.invalid(f"metadata.annotations[{VALIDATE}]", shown, detail)
    else:
        if command and not command[0]:
            shown, detail = annotations[VALIDATE], "expected the name of a program first"
            errors.invalid(f"metadata.annotations[{VALIDATE}]", shown, detail)


def validation_command(annotations: Mapping[str, str]) -> list[str]:
    """The words of the command that judges the configuration, none if there is no such command.

    They are split as a shell does, and nothing else of a shell happens to them. Raises ValueError.
    """
    return shlex.split(annotations.get(VALIDATE, ""))
