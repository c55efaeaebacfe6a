"""Limits that several entry points share. Pure."""

from __future__ import annotations

from typing import Final

# Of a query in a search or a suggestion request.
MAX_QUERY_CHARS: Final = 512
# Of a shopper's `user_token`.
MAX_TOKEN_CHARS: Final = 129
