"""What one snapshot of an embedded index consists of: a view of each of its structures."""

from __future__ import annotations

import msgspec

from events.digest import DocumentsDigest
from events.settings import IndexSettings
from searchsvc.engines import signals
from searchsvc.engines.columnar.vectors import VectorView
from searchsvc.engines.embedded.attributes_view import AttributesView
from searchsvc.engines.embedded.documents import DocumentView
from searchsvc.engines.embedded.forward_view import ForwardView
from searchsvc.engines.embedded.ids import IdsView
from searchsvc.engines.embedded.postings import PostingsView
from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray


class IndexViews(msgspec.Struct, frozen=True):
    """Views of all structures at one commit.

    vectors: None if the index embeds nothing
    signal_rows: (n_slots, n_signals) as `signals.stored` returned them
    live: (n_slots,) which slots hold a document
    """

    settings: IndexSettings
    generation: str
    catalog_seq: int
    digest: DocumentsDigest
    postings: PostingsView
    attributes: AttributesView
    forward: ForwardView
    vectors: VectorView | None
    signal_rows: AnyArray
    live: BoolArray
    ids: IdsView
    documents: DocumentView

    def signals(self, slots: IntArray, timestamp_s: float) -> FloatArray:
        """Return (n, n_signals) signals in [0, 1] at a moment, in seconds since 1970."""
        return signals.values(self.settings.signals, self.signal_rows[slots], timestamp_s)

    def find(self, document_id: str) -> int | None:
        """Return the slot of a document, or None."""
        return self.ids.slot(document_id, self.live)
