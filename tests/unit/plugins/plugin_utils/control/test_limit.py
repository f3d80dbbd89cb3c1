# Copyright: (c) 2026, everynode contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal
import time

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.everynode.daemonset.plugins.plugin_utils.control.limit import time_limit


def test_what_takes_too_long_is_a_lost_connection():
    with pytest.raises(AnsibleConnectionFailure, match="no answer within 1 seconds"), time_limit(1):
        time.sleep(10)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_what_is_fast_enough_is_not_disturbed():
    with time_limit(1):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_errors_pass():
    with pytest.raises(KeyError), time_limit(60):
        raise KeyError
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_limit_of_the_task_goes_on():
    with pytest.raises(AnsibleConnectionFailure, match="within 1 seconds"), time_limit(1):
        with time_limit(60):
            pass
        time.sleep(10)
