"""What is served, as hashes."""

from __future__ import annotations

import msgspec

from events.control import control_hash
from events.digest import DocumentsDigest, state_hash
from searchsvc.state.serving_state import ServingState


class ServedDocuments(msgspec.Struct, frozen=True):
    """The documents of one index.

    created_seq: CONTROL sequence that created the index
    documents: digest of what is served, as of applied_catalog_seq
    n_refused: number of documents in the log that an OpenSearch cluster did not take, up to a hundred
    """

    created_seq: int
    applied_catalog_seq: int
    documents: DocumentsDigest
    n_refused: int = 0


class StateInfo(msgspec.Struct, frozen=True):
    """What is served.

    seq: CONTROL sequence
    chain: hash over all CONTROL messages up to seq
    control_hash: hash of the state folded from them
    indexes: those that are served
    state_hash: hash over all of it; '' while an index is being built
    """

    seq: int
    chain: str
    control_hash: str
    indexes: dict[str, ServedDocuments]
    state_hash: str

    @staticmethod
    def from_state(state: ServingState) -> StateInfo:
        """Describe a serving state."""
        control = state.control
        snapshots = {name: state.snapshots[name] for name in sorted(state.snapshots) if name in control.indexes}
        digests = {name: snapshot.digest for name, snapshot in snapshots.items()}
        return StateInfo(
            seq=control.seq,
            chain=control.chain,
            control_hash=control_hash(control),
            indexes={
                name: ServedDocuments(
                    created_seq=control.index(name).created_seq,
                    applied_catalog_seq=snapshot.catalog_seq,
                    documents=digests[name],
                    n_refused=len(snapshot.refusals),
                )
                for name, snapshot in snapshots.items()
            },
            state_hash=state_hash(control, digests) if len(digests) == len(control.indexes) else "",
        )
