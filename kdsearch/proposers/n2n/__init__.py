"""N2N: a policy that edits the teacher, learned by what its students come to."""

from kdsearch.proposers.n2n.proposer import N2NProposer

__all__ = ["N2NProposer"]
