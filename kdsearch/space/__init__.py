"""The space language: a plain config in which a domain may stand wherever a value may stand.

Three domains, one recursion: ``{int: [1, 3]}``, ``{float: [0.01, 0.5], log: true}`` and
``{choice: [a, b]}``; ``each: 3`` (or ``each: depth``, which follows a number around it) makes a
list of independent holes. An option of a choice may hold holes of its own. A hole is named by its
path; inside an option the path carries the option's name: ``losses[1].at.weight``.
"""

from kdsearch.space.filling import Assignment, Choose, Filled
from kdsearch.space.search_space import SearchSpace

__all__ = ["Assignment", "Choose", "Filled", "SearchSpace"]
