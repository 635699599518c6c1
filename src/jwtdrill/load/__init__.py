"""Load: what locustfiles import from `users`, and what their results are made of.

Only `users`, `plugin`, `options` and `team` import locust, which patches the whole process.
"""
