"""The server's settings: read once, from flags and VAESERVE_* variables, into a frozen object.

A flag overrides its variable, and a variable overrides the default. All mistakes are reported together.
"""

from server.settings.processors import cores
from server.settings.reader import NOT_OURS, PREFIX, BadSettings, read
from server.settings.settings import Settings
from server.settings.values import host_and_port

__all__ = ["NOT_OURS", "PREFIX", "BadSettings", "Settings", "cores", "host_and_port", "read"]
