"""What weights a student begins with: one file a start, one row each in `STARTS`."""

from kdsearch.starts.base import Materials, Start
from kdsearch.starts.fuse import fused_student
from kdsearch.starts.inherit import check_inheritable, inherited_student
from kdsearch.starts.runs import check_fusible
from kdsearch.starts.scratch import anything, fresh_student

__all__ = ["STARTS", "Materials", "Start"]

STARTS: dict[str, Start] = {
    "scratch": Start(fresh_student, anything),
    "fuse": Start(fused_student, check_fusible),
    "inherit": Start(inherited_student, check_inheritable),
}
