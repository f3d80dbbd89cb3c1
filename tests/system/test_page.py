# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page in a real browser: of five nodes and of a thousand, by mouse and by keyboard, in the light and in the dark.

With EVERYNODE_PHOTOGRAPHS=FOLDER there are pictures to look at afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Failure, Past
from ansible_collections.everynode.daemonset.plugins.plugin_utils.history import instances
from ansible_collections.everynode.daemonset.plugins.plugin_utils.page import page
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import make_plan

from tests.nodes import Cluster, Node
from tests.unit.plugins.plugin_utils.fleet import NOW, RUNS, STOPPED, UNREACHABLE, instance, seen, settings

from .browser import Browser
from .evidence import clean_up, unit
from .playbook import daemonset, play, write

HOSTILE = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
NAMES = ("node-exporter", "fluentd", "disk-watch")
MEGABYTE = 1_000_000


def written(path: Path, nodes: int) -> Path:
    """A page of a fleet with one node of each kind of trouble, and all others as they should be."""
    names = [f"web{number}" for number in range(1, nodes + 1)]
    history = tuple(Past(f"{number}", number, NOW - 90000 + 30000 * number, f"change {number}") for number in (1, 2))

    def found(name: str, node: str) -> Any:
        one: dict[str, Any] = {"history": (*history, Past("new", 3, NOW - 60 + int(node[3:]) % 50))}
        if (name, node) == ("fluentd", "web2"):
            one = {"history": history, "revision": "2", "failed": (Failure("new", NOW - 30, HOSTILE),)}
        elif (name, node) == ("disk-watch", "web3"):
            one |= STOPPED
        return instance(name, **one)

    looks = {node: UNREACHABLE if node == "web4" else seen(*(found(name, node) for name in NAMES)) for node in names}
    declared = [(replace(settings(name), namespace="tests"), dict.fromkeys(names, RUNS)) for name in NAMES]
    looks = {
        node: look
        if look.observation is None
        else replace(
            look,
            observation=look.observation._replace(
                instances=tuple(one._replace(namespace="tests") for one in look.observation.instances)
            ),
        )
        for node, look in looks.items()
    }
    event = {"at": "2027-01-15T07:59:00Z", "type": "Warning", "reason": "Unhealthy", "message": HOSTILE}
    lines = [{"at": f"2027-01-15T07:59:{second}Z", "container": "main", "line": HOSTILE} for second in range(10, 30)]
    details = {node: {f"tests/{name}": {"events": [event], "log": lines} for name in NAMES} for node in names}
    pasts = {f"tests/{name}": instances(looks, "tests", name) for name in NAMES}
    path.write_text(page(make_plan(declared, names, looks), pasts, details, NOW))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def five(tmp_path: Path) -> Path:
    return written(tmp_path / "five.html", 5)


def photograph(browser: Browser, name: str) -> None:
    if "EVERYNODE_PHOTOGRAPHS" in os.environ:
        browser.photograph(Path(os.environ["EVERYNODE_PHOTOGRAPHS"], f"{name}.png"))


def assert_harmless(browser: Browser, path: Path) -> None:
    assert browser.errors == []
    assert set(browser.requests) == {path.as_uri()}
    assert browser.ask("window.hit === undefined")


def text(browser: Browser, selector: str) -> str:
    return str(browser.ask(f"document.querySelector('{selector}').innerText"))


CELL = "document.activeElement.getAttribute('aria-label')"


def test_each_node_shows_what_stands_there(browser: Browser, five: Path) -> None:
    browser.open(five)
    assert text(browser, "h1").endswith("3 of 5 nodes need attention")
    assert browser.ask("document.querySelectorAll('.list .cell').length") == 15
    labels = browser.ask("[...document.querySelectorAll('.list .cell')].map((one) => one.getAttribute('aria-label'))")
    assert "web3, disk-watch: damaged, the unit is stopped" in labels
    assert "web4, fluentd: unreachable, connection refused" in labels
    assert "web5, fluentd: up to date" in labels
    # A state can be told without its colour.
    signs = "[...document.querySelectorAll('.choice')].map((one) => one.querySelector('.sign').innerText)"
    assert len(set(browser.ask(signs))) == len(browser.ask(signs)) == 4
    assert "Revision 3" in text(browser, ".rollouts")
    photograph(browser, "five")
    assert_harmless(browser, five)


def test_a_click_shows_the_reason_and_the_last_words(browser: Browser, five: Path) -> None:
    browser.open(five)
    browser.click('[aria-label^="web2, fluentd"]')
    shown = text(browser, "#panel")
    assert "failed" in shown
    assert shown.count(HOSTILE) >= 22, "the reason, the event and twenty lines, to the letter"
    photograph(browser, "panel")
    browser.click("h1")
    assert browser.ask("document.getElementById('panel').hidden")
    assert_harmless(browser, five)


def test_the_keyboard_reaches_everything(browser: Browser, five: Path) -> None:
    browser.open(five)
    browser.ask("document.querySelector('.cell[tabindex=\"0\"]').focus()")
    first = browser.ask(CELL)
    browser.press("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp")
    assert browser.ask(CELL) == first
    browser.press("ArrowDown")
    below = browser.ask(CELL)
    assert below.split(",")[0] != first.split(",")[0]
    assert below.split(" ")[1].rstrip(":") == first.split(" ")[1].rstrip(":")
    browser.press("Enter")
    assert text(browser, "#panel-title") == below.split(",")[0]
    browser.press("Escape")
    assert browser.ask("document.getElementById('panel').hidden")
    assert browser.ask(CELL) == below
    browser.press("/")
    browser.type("web5")
    assert browser.ask("document.querySelectorAll('.list .row:not(.head):not(.hidden)').length") == 1
    browser.press("Tab")
    assert browser.ask("document.activeElement.tagName") == "SELECT"
    assert_harmless(browser, five)


def test_a_state_can_be_picked(browser: Browser, five: Path) -> None:
    browser.open(five)
    browser.click(".choice.unknown")
    rows = "[...document.querySelectorAll('.list .row:not(.head):not(.hidden) .name')].map((one) => one.innerText)"
    assert browser.ask(rows) == ["web4"]
    browser.click(".choice.unknown")
    assert len(browser.ask(rows)) == 5


@pytest.mark.parametrize("nodes", [5, 1000])
def test_it_fits_a_phone(browser: Browser, tmp_path: Path, nodes: int) -> None:
    path = written(tmp_path / "phone.html", nodes)
    browser.open(path, width=390, height=844)
    assert browser.ask("document.documentElement.scrollWidth") == 390
    assert browser.ask("document.querySelector('.cell').getBoundingClientRect().height") >= 24
    photograph(browser, f"phone-{nodes}")
    browser.click(".cell")
    assert browser.ask("document.getElementById('panel').getBoundingClientRect().width") == 390
    photograph(browser, f"phone-panel-{nodes}")
    assert_harmless(browser, path)


# Of a colour's words as the browser has them, how bright it is; by WCAG.
CONTRAST = """(() => {
    const bright = (words) => words.match(/[0-9.]+/g).slice(0, 3).map((one) => one / 255)
        .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
    const ground = (one) => {
        while (one && getComputedStyle(one).backgroundColor === 'rgba(0, 0, 0, 0)') one = one.parentElement;
        return getComputedStyle(one || document.body).backgroundColor;
    };
    const contrast = (one) => {
        const [low, high] = [bright(getComputedStyle(one).color), bright(ground(one))].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const words = 'h1, h2, .when, .sets th, .sets td, .what, .why, .link, .cell .word, .hash, .sign, .pill';
    return [...document.querySelectorAll(words)].filter((one) => one.innerText && contrast(one) < 4.5)
        .map((one) => `${one.className} ${one.innerText} ${contrast(one)}`);
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read_in_the_light_and_in_the_dark(browser: Browser, five: Path, dark: bool) -> None:
    browser.open(five, dark=dark)
    red = int(browser.ask("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]"))
    assert (red < 64) == dark
    assert browser.ask(CONTRAST) == []
    photograph(browser, "dark" if dark else "light")


def test_a_thousand_nodes_are_quick(browser: Browser, tmp_path: Path) -> None:
    path = written(tmp_path / "thousand.html", 1000)
    assert path.stat().st_size < MEGABYTE
    browser.open(path)
    took = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    assert browser.ask(took) < 10_000, "milliseconds, on a machine that is busy with nodes"
    assert browser.ask("document.querySelectorAll('.wall .cell').length") == 3000
    photograph(browser, "thousand")
    browser.click(".views button")
    assert browser.ask("document.querySelectorAll('.list .row:not(.head)').length") == 1000
    first = browser.ask("[...document.querySelectorAll('.list .name')].slice(0, 3).map((one) => one.innerText)")
    assert sorted(first) == ["web2", "web3", "web4"], "the worst come first"
    browser.press("/")
    started = browser.ask("performance.now()")
    browser.type("web77")
    assert browser.ask("document.querySelectorAll('.list .row:not(.head):not(.hidden)').length") == 11
    assert browser.ask("performance.now()") - started < 5_000
    assert_harmless(browser, path)


def test_status_writes_it_of_real_nodes(
    browser: Browser, cluster: Cluster, nodes: list[Node], inventory: Callable[..., Path], tmp_path: Path
) -> None:
    pair = nodes[:2]
    manifest = daemonset("shown", image="host:///bin/sh", args=["-c", "echo here I am; exec sleep infinity"])
    variables = {"daemonset_manifests": write(tmp_path / "manifest.yaml", manifest)}
    target = tmp_path / "page.html"
    try:
        done = play("apply", inventory(pair), daemonset_page=str(target), **variables)
        assert done.code == 0, done.output
        browser.open(target)
        assert text(browser, "h1").endswith(f"{len(pair)} nodes, all as declared")
        browser.click(f'[aria-label^="{pair[1].name}, shown"]')
        assert "here I am" in text(browser, "#panel pre")
        assert "Revision 1" in text(browser, "#panel ol")

        pair[0].run(f"systemctl stop {unit('shown')}")
        assert play("status", inventory(pair), daemonset_page=str(target), **variables).code != 0
        browser.open(target)
        assert text(browser, "h1").endswith(f"1 of {len(pair)} nodes needs attention")
        browser.click(".attention .link")
        assert text(browser, "#panel-title") == pair[0].name
        assert "damaged" in text(browser, "#panel")
        photograph(browser, "real")
        assert_harmless(browser, target)
    finally:
        clean_up(cluster, pair, tmp_path, ["shown"])
