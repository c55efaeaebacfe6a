"""Commands that measure: each file opens with question, data, baseline and command."""
