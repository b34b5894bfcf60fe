"""Results at an address of pyarrow's file systems: S3, GCS, HDFS, another folder.

A search runs in a working copy on this machine, whose log stays the truth, and is mirrored to its
address as it goes. Readers bring what they need into a passing folder.
"""

from kdsearch.results.remote.address import is_address, refuse_secrets
from kdsearch.results.remote.mirror import Mirror
from kdsearch.results.remote.reading import reading, reading_student, shown
from kdsearch.results.remote.working_copy import WorkingCopy

__all__ = [
    "Mirror",
    "WorkingCopy",
    "is_address",
    "reading",
    "reading_student",
    "refuse_secrets",
    "shown",
]
