"""Select the k least keys with a heap, in one pass."""

from __future__ import annotations

from tuning.arrays import AnyArray
from tuning.compiled import compiled


@compiled("i8[1] f8[1] u8[2] i8[1]!", "i8[1] f4[1] u8[2] i8[1]!")
def top_k(slots: AnyArray, keys: AnyArray, prefixes: AnyArray, best: AnyArray) -> bool:
    """Write the positions of the k least keys in order; equal keys order by the prefixes of their slots.

    slots: (n,), n >= k
    keys: (n,) key of each slot, the least is best
    prefixes: (n_slots, 2) the beginnings of the document ids, see `ids.id_keys`
    best: (k,) written to

    Returns False where keys and prefixes do not decide the order: some of the k are equal, or the last of them equals
    one that was left out.
    """

    def orders_after(left: int, right: int) -> bool:
        if keys[left] != keys[right]:
            return bool(keys[left] > keys[right])
        a, b = slots[left], slots[right]
        if prefixes[a, 0] != prefixes[b, 0]:
            return bool(prefixes[a, 0] > prefixes[b, 0])
        return bool(prefixes[a, 1] > prefixes[b, 1])

    def sift_down(position: int, end: int) -> None:
        """Replace the root of the heap of the first `end` positions by another position."""
        node, child = 0, 1
        while child < end:
            if child + 1 < end and orders_after(best[child + 1], best[child]):
                child += 1
            if not orders_after(best[child], position):
                break
            best[node] = best[child]
            node, child = child, 2 * child + 1
        best[node] = position

    # A max-heap: position i orders after those at 2 i + 1 and 2 i + 2, so the last of all is at 0.
    k = best.shape[0]
    for position in range(keys.shape[0]):
        if position < k:
            node = position
            while node > 0 and orders_after(position, best[(node - 1) // 2]):
                best[node] = best[(node - 1) // 2]
                node = (node - 1) // 2
            best[node] = position
        elif orders_after(best[0], position):
            sift_down(position, k)
    for end in range(k - 1, 0, -1):
        position = best[end]
        best[end] = best[0]
        sift_down(position, end)
    for i in range(1, k):
        if not orders_after(best[i], best[i - 1]):
            return False
    last, n_equal = best[k - 1], 0
    for position in range(keys.shape[0]):
        if keys[position] == keys[last] and not orders_after(position, last) and not orders_after(last, position):
            n_equal += 1
    return n_equal == 1
