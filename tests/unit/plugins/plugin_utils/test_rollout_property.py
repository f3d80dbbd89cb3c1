# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to a fleet between and during applies, a rollout does no harm, and in the end it is done.

The fleet is simulated; what is done to it is what the real plan says, by rules of the control node that are as simple
as they can be: a batch begins when the one before has ended, its earlier steps are completed and nothing has halted it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from random import Random

from ansible_collections.everynode.daemonset.plugins.module_utils.observation import Failure
from ansible_collections.everynode.daemonset.plugins.plugin_utils.plan import (
    NONE,
    REMOVE,
    REPAIR,
    RESTART,
    SWITCH,
    UPDATES,
    WAIT,
    Seen,
    Settings,
    Wanted,
    judge,
    make_plan,
    renewed,
)
from ansible_collections.everynode.daemonset.plugins.plugin_utils.policy import (
    CONTINUE,
    HALT,
    ON_FAILURE,
    Canary,
    Policy,
    Step,
)
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.plugins.plugin_utils import fleet

MIN_READY = 10  # seconds
ENOUGH = 6  # applies: one for each pause that it comes to, and a few
NAMES = ("one", "two")
GOOD, BAD = "good{}", "bad{}"  # revisions; nothing makes a bad one ready


@dataclass
class Thing:
    """An instance on a node."""

    revision: str | None
    good: str | None = None  # the revision that was available last
    ready_since: float | None = None
    intact: bool = True
    confirmed: bool = True
    failed: set[str] = field(default_factory=set)
    passed: tuple[str, int] = ("", 0)
    restart_due: bool = False
    paused: str = ""


@dataclass
class Machine:
    name: str
    kind: str
    rack: str
    reachable: bool = True
    veto: str = ""
    eligible: bool = True
    things: dict[str, Thing] = field(default_factory=dict)


class Killed(Exception):
    """The control node dies."""


class Fleet:
    def __init__(self, machines, policies, budgets):
        self.now = fleet.NOW
        self.machines = {machine.name: machine for machine in machines}
        self.policies = dict(zip(NAMES, policies, strict=False))
        self.budgets = budgets
        self.wanted = dict.fromkeys(self.policies, GOOD.format(0))
        self.revisions = [GOOD.format(0)]
        self.ours = {name: set() for name in self.policies}  # unavailable since we stopped what served there

    # What is known.

    def settings(self, name, forced=False):
        return Settings(
            "default",
            name,
            max_unavailable=self.budgets[name],
            min_ready_seconds=MIN_READY,
            policy=self.policies[name],
            forced=forced,
        )

    def wish(self, name, machine):
        rack = machine.rack if self.policies[name].topology else ""
        eligible = machine.eligible
        return Wanted(self.wanted[name], eligible, eligible, "a taint", "", kind=machine.kind, topology=rack)

    def look(self, machine, selected=True):
        if not machine.reachable:
            return Seen(None, "unreachable", "no answer", selected)
        found = [
            fleet.instance(
                name,
                revision=thing.revision,
                intact=thing.intact and thing.revision is not None,
                damage=() if thing.intact else ("it was edited",),
                running=thing.ready_since is not None,
                ready=thing.ready_since is not None,
                ready_since=thing.ready_since,
                confirmed=thing.confirmed,
                failed=tuple(Failure(revision, fleet.NOW, "it crashed") for revision in sorted(thing.failed)),
                passed=thing.passed[1] if thing.passed[0] == thing.revision else 0,
                restart_due=thing.restart_due,
                paused=thing.paused,
            )
            for name, thing in machine.things.items()
        ]
        return fleet.seen(*found, selected=selected, now=self.now, veto=machine.veto)

    def available(self, name, machine):
        thing = machine.things.get(name)
        return thing is not None and thing.ready_since is not None and thing.ready_since + MIN_READY <= self.now

    def plan(self, limit=(), forced=False):
        looks = {name: self.look(machine, name not in limit) for name, machine in self.machines.items()}
        declared = [
            (self.settings(name), {machine.name: self.wish(name, machine) for machine in self.machines.values()})
            for name in self.policies
        ]
        return make_plan(declared, list(self.machines), looks, forced)

    # What is done.

    def apply(self, random, limit=(), forced=False, faults=False):
        """One run of the control node. ``faults``: it may die at any moment, and good revisions may fail."""
        self.random, self.faults, self.forced = random, faults, forced
        self.failures = dict.fromkeys(self.policies, 0)
        self.halted = set()
        plan = self.plan(limit, forced)
        # A pause that somebody has ended stays so for a run that saw it, also if it takes away the node that says so.
        self.passed = {
            name: max((one.things[name].passed[1] for one in self.found(name) if self.has_passed(name, one)), default=0)
            for name in self.policies
        }
        self.canaries = {}
        for daemonset in plan.daemonsets:
            kinds = [entry.kind for entry in daemonset.entries if entry.phase == SWITCH and entry.wave == 0]
            self.canaries[daemonset.settings.name] = set(kinds)
            assert daemonset.settings.policy.canary is None or len(kinds) == len(set(kinds)), "one of each kind"
        for name in plan.by_node():
            assert name not in limit
            assert not self.machines[name].veto
        with contextlib.suppress(Killed):
            self.run(plan)
        return plan

    def run(self, plan):
        for phase in ("remove", "create"):
            for node in self.shuffled(plan.hosts(phase)):
                for settings, entry in plan.by_node()[node]:
                    if entry.phase == phase:
                        self.may_be_killed()
                        self.begin(settings, entry)
                        self.end(settings, entry)
            self.now += MIN_READY
            self.settle()
        self.now += max((daemonset.bake_left for daemonset in plan.daemonsets), default=0)
        for index, batch in enumerate(plan.batches):
            self.switch(plan, batch)
            self.now += MIN_READY + max((one.bake for one in plan.after[index]), default=0)
            self.settle()

    def switch(self, plan, batch):
        self.begun = {}
        steps = [
            (settings, entry) for node in batch for settings, entry in plan.by_node()[node] if entry.phase == SWITCH
        ]
        now = renewed(plan, {name: self.look(machine) for name, machine in self.machines.items()})
        waves = {daemonset.settings.name: daemonset.steps for daemonset in now.daemonsets}
        allowed = [
            (settings, entry)
            for settings, entry in steps
            if self.policies[settings.name].on_failure == CONTINUE
            or all(wave.completed for wave in waves[settings.name][: entry.wave])
        ]
        if all(settings.policy.pace == "window" for settings, _entry in steps):
            for settings, entry in allowed:
                self.one_at_a_time(settings, entry)
            return
        begun = [(settings, entry) for settings, entry in self.shuffled(allowed) if self.begin(settings, entry)]
        for settings, entry in self.shuffled(begun):
            self.end(settings, entry)

    def one_at_a_time(self, settings, entry):
        """The narrowest window there is."""
        self.begun = {}
        if self.begin(settings, entry):
            self.end(settings, entry)
            self.now += MIN_READY
            self.settle()

    def begin(self, settings, entry):
        """Stop what is there, if that is still what the plan found."""
        machine, name = self.machines[entry.node], settings.name
        if name in self.halted and entry.step in (*UPDATES, REPAIR):
            return False
        look = self.look(machine)
        if not machine.reachable or judge(settings, entry.node, entry.declared, look).step == NONE:
            return False
        self.may_be_killed()
        if entry.step == WAIT:
            return True
        if entry.step == REMOVE:
            del machine.things[name]
            return False
        thing = machine.things.setdefault(name, Thing(None))
        self.check(settings, entry, machine, thing)
        if thing.ready_since is not None:
            self.ours[name].add(machine.name)
            self.check_budget(settings, machine)
        thing.ready_since = None
        self.may_be_killed()
        return True

    def end(self, settings, entry):
        """Start what should be there, unless it was removed or not begun."""
        machine, name = self.machines[entry.node], settings.name
        thing = machine.things.get(name)
        if thing is None or not machine.reachable or entry.step == REMOVE:
            return
        if entry.step == WAIT and thing.ready_since is not None:
            thing.confirmed = True
            return
        former, thing.revision, thing.intact, thing.restart_due = thing.good, entry.wanted, True, False
        thing.confirmed = entry.phase != SWITCH
        self.may_be_killed()
        if entry.wanted.startswith("bad") or (self.faults and self.random.random() < 0.05):
            self.fail(settings, thing, former, entry)
            return
        thing.ready_since = self.now
        self.may_be_killed()
        thing.confirmed, thing.good = True, entry.wanted
        thing.failed.discard(entry.wanted)

    def fail(self, settings, thing, former, entry):
        thing.failed.add(entry.wanted)
        thing.confirmed = True
        if settings.policy.on_failure != HALT and former not in (None, entry.wanted):
            thing.revision, thing.ready_since = former, self.now
        self.failures[settings.name] += 1
        if settings.policy.on_failure != CONTINUE or thing.ready_since is None:
            self.halted.add(settings.name)

    def settle(self):
        """What has become available is not unavailable through our doing any more."""
        for name, nodes in self.ours.items():
            nodes -= {node for node in nodes if self.available(name, self.machines[node])}

    def shuffled(self, things):
        return self.random.sample(list(things), len(things))

    def may_be_killed(self):
        if self.faults and self.random.random() < 0.08:
            raise Killed

    # What must never be.

    def check(self, settings, entry, machine, thing):
        assert machine.eligible
        assert not machine.veto
        assert self.forced or entry.step not in UPDATES or entry.wanted not in thing.failed or entry.step == RESTART
        if entry.step in UPDATES:
            eligible = [one.name for one in self.machines.values() if one.eligible]
            assert machine.name not in eligible[: settings.policy.partition]
        if entry.step in UPDATES and entry.phase == SWITCH:
            assert not settings.policy.paused
            assert not any(one.things[settings.name].paused for one in self.found(settings.name) if self.counts(one))
            self.check_waves(settings, entry, machine)

    def check_waves(self, settings, entry, machine):
        """Counted anew: of the steps whose number is not reached, the first one is not exceeded; none is paused at."""
        name, policy = settings.name, settings.policy
        eligible = sum(one.eligible for one in self.machines.values())
        done = [one for one in self.found(name) if one.eligible and self.is_updated(name, one)]
        self.begun[name] = self.begun.get(name, 0) + 1
        if policy.canary is not None and (entry.wave == 0 or machine.kind not in {one.kind for one in done}):
            return  # the canary comes before all steps, also if another of its kind has become available since
        first = 0 if policy.canary is None else 1
        targets = [step.target(eligible) for step in policy.steps]
        for index, (step, target) in enumerate(zip(policy.steps, targets, strict=True)):
            assert not (step.pause and len(done) >= target and target < eligible and index + first >= self.passed[name])
        if policy.on_failure == CONTINUE:
            return
        if policy.canary is None:
            assert len(done) + self.begun[name] <= next((target for target in targets if target > len(done)), eligible)
        else:
            assert self.canaries[name] <= {one.kind for one in done}

    def found(self, name):
        return [one for one in self.machines.values() if one.reachable and name in one.things]

    def is_updated(self, name, machine):
        thing = machine.things[name]
        return thing.revision == self.wanted[name] and not thing.restart_due and self.available(name, machine)

    def has_passed(self, name, machine):
        thing = machine.things[name]
        return thing.revision == self.wanted[name] == thing.passed[0]

    def check_budget(self, settings, machine):
        ours = {node for node in self.ours[settings.name] if self.counts(self.machines[node])}
        eligible = sum(one.eligible for one in self.machines.values())
        assert len(ours) <= settings.strategy.numbers(eligible).max_unavailable
        if settings.policy.topology:
            assert len({self.machines[node].rack for node in ours}) <= 1

    @staticmethod
    def counts(machine):
        """What nobody can look at or may touch is counted apart."""
        return machine.reachable and machine.eligible and not machine.veto


STEPS = [
    (),
    (),
    (Step(1, bake=60),),
    (Step(1, pause=True), Step("50%")),
    (Step("25%"), Step(3, pause=True)),
]
POLICIES = st.builds(
    Policy,
    on_failure=st.sampled_from([*ON_FAILURE, CONTINUE]),
    steps=st.sampled_from(STEPS),
    canary=st.sampled_from([None, None, None, Canary(("kind",)), Canary(("kind",), pause=True)]),
    topology=st.sampled_from(["", "rack"]),
    partition=st.sampled_from([0, 0, 0, 0, 1, 2]),
    max_unreachable=st.sampled_from(["100%", "100%", 1]),
    pace=st.sampled_from(["batch", "batch", "batch", "window"]),
)
BUDGETS = st.sampled_from([1, 1, 2, "30%", "100%"])


MACHINES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12")), min_size=2, max_size=7)


@st.composite
def fleets(draw):
    """Most nodes have what was declared first."""
    policies = draw(st.lists(POLICIES, min_size=1, max_size=len(NAMES)))
    machines = [Machine(f"n{number}", kind, rack) for number, (kind, rack) in enumerate(draw(MACHINES))]
    world = Fleet(machines, policies, {name: draw(BUDGETS) for name in NAMES})
    late = draw(st.sets(st.sampled_from(list(world.machines)), max_size=1))
    for machine in machines:
        for name in world.policies:
            if machine.name not in late:
                machine.things[name] = Thing("good0", "good0", fleet.NOW - 100)
    return world


# What may happen between two applies.


def nothing(world, random):
    pass


def a_new_manifest(world, random):
    number = len(world.revisions)
    world.revisions.append((BAD if random.random() < 0.3 else GOOD).format(number))
    world.wanted[random.choice(list(world.policies))] = world.revisions[-1]


def an_older_manifest(world, random):
    world.wanted[random.choice(list(world.policies))] = random.choice(world.revisions)


def a_restart(world, random):
    name = random.choice(list(world.policies))
    for machine in world.machines.values():
        if name in machine.things:
            machine.things[name].restart_due = True


def to_a_node(world, random):
    """Its network, its operator, its labels, or its instances."""
    machine = random.choice(list(world.machines.values()))
    deed = random.choice(["reachable", "reachable", "veto", "veto", "eligible", "crash", "edit", "lose"])
    if deed in ("reachable", "eligible"):
        setattr(machine, deed, not getattr(machine, deed))
    elif deed == "veto":
        machine.veto = "" if machine.veto else "a disk is being changed"
    elif deed == "lose":
        machine.things.clear()
    for thing in machine.things.values():
        thing.ready_since = None if deed == "crash" else thing.ready_since
        thing.intact = thing.intact and deed != "edit"


def time(world, random):
    """What was not confirmed in time has gone back."""
    world.now += random.choice([1, 30, 300])
    for machine in world.machines.values():
        for thing in machine.things.values():
            if not thing.confirmed and thing.good:
                thing.revision, thing.confirmed, thing.ready_since = thing.good, True, world.now
    world.settle()


def a_pause(world, random):
    for machine in world.machines.values():
        for thing in machine.things.values():
            thing.paused = "ada at noon"


def a_resume(world, random):
    for daemonset in world.plan().daemonsets:
        for entry in daemonset.entries:
            thing = world.machines[entry.node].things.get(daemonset.settings.name)
            if thing is not None:
                thing.paused = ""
                if entry.revision == entry.wanted:
                    thing.passed = (entry.wanted, daemonset.completed_steps)


EVENTS = [nothing, a_new_manifest, a_new_manifest, an_older_manifest, a_restart, to_a_node, time, a_pause, a_resume]
ROUNDS = st.tuples(st.sampled_from(EVENTS), st.booleans(), st.booleans(), st.booleans())


@given(fleets(), st.lists(ROUNDS, min_size=4, max_size=12), st.integers(0, 2**32))
@hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_rollout_does_no_harm_and_gets_done(world, rounds, seed):
    random = Random(seed)
    for event, faults, limited, forced in rounds:
        event(world, random)
        left_out = [name for name in world.machines if limited and random.random() < 0.5]
        world.apply(random, left_out, forced=forced, faults=faults)
    faults_end(world)
    for _round in range(ENOUGH):
        world.apply(random, forced=True)
        a_resume(world, random)
    plan = world.plan()
    assert (plan.touched, plan.not_as_declared) == ([], [])
    for machine in world.machines.values():
        for name in world.policies:
            assert (name in machine.things) == machine.eligible
            if machine.eligible:
                assert machine.things[name].revision == world.wanted[name]
                assert world.available(name, machine)


def faults_end(world):
    """And nothing forbids the rollout any more."""
    for machine in world.machines.values():
        machine.reachable, machine.veto = True, ""
    for name, policy in world.policies.items():
        world.policies[name] = replace(policy, partition=0)
        if world.wanted[name].startswith("bad"):
            world.wanted[name] = GOOD.format("last")
    a_resume(world, None)
