"""Policies: who may change an index, when and how far."""

from __future__ import annotations

import msgspec

from events.policies import Policy


class PolicyInput(Policy, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole policy, as in `events.policies.Policy`, and the reason for it."""

    reason: str = ""

    def policy(self) -> Policy:
        """Return the policy without the reason."""
        return Policy(self.max_step, self.freezes, self.publishers, self.approvals)


class PolicyInfo(msgspec.Struct, frozen=True):
    """The policy of an index.

    frozen: whether a freeze is in force now
    """

    index: str
    policy: Policy
    frozen: bool
