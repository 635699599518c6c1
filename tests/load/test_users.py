"""How simulated clients pace themselves. In a process of its own, for Locust patches the one that imports it."""

import json
import subprocess
import sys
import textwrap

# The clock stands still but for the sleeps of on_start.
PACES = textwrap.dedent("""
    import json
    from types import SimpleNamespace
    from jwtdrill.load import users

    now, slept = [100.0], []
    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds
    users.gevent = SimpleNamespace(sleep=sleep)
    users.time = SimpleNamespace(perf_counter=lambda: now[0])

    def client(rate=None, due=None):
        made = users.Client.__new__(users.Client)
        made.shared = SimpleNamespace(rate=rate, pace=lambda _: 0.5)
        made.environment, made._next = SimpleNamespace(runner=None), due
        return made

    waits = []
    for _ in range(200):
        one = client()
        one.on_start()
        waits.append(one.wait_time())
    count = len(slept)
    client(rate=object()).on_start()
    print(json.dumps([slept[:count], waits, client(due=now[0] - 60).wait_time(), len(slept) - count]))
""")


def test_clients_that_start_together_keep_out_of_step_and_each_keeps_its_pace() -> None:
    done = subprocess.run([sys.executable, "-c", PACES], capture_output=True, text=True, check=True, timeout=60)
    phases, waits, late, opened = json.loads(done.stdout)
    assert len(phases) == 200
    assert min(phases) < 0.1
    assert max(phases) > 0.4
    assert all(0 <= phase <= 0.5 for phase in phases)
    assert all(abs(wait - 0.5) < 1e-6 for wait in waits)  # the second comes a whole pace after the first
    assert late == 0  # who is late does not catch up
    assert opened == 0  # arrivals do not wait for clients
