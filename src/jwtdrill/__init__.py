"""jwtdrill: load, break and watch a JWT Bearer system, and close the loop between the three."""

from importlib.metadata import version

__version__ = version("jwtdrill")
