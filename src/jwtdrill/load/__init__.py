"""Load: what locustfiles import from `users`, and what their results are made of.

Only `users` and `plugin` import locust, which patches the whole process.
"""
