"""How is a ranking changed? Commands, drafts, schedules, policies, the audit trail and differences."""
