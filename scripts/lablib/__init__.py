# SPDX-License-Identifier: MIT
"""The lab: sites as namespaces, daemons on simulated devices, and an undo list for all of it."""


class LabError(Exception):
    """Something that the person at the keyboard should read; the command exits with 1."""


class UsageError(LabError):
    """A wrong command line; the command exits with 2."""
