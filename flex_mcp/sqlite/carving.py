"""Rows of a damaged SQLite file, read page by page: what one page lost takes no other along.

By SQLite's file format (sqlite.org/fileformat2.html): b-trees, records, overflow pages, and a -wal
whose frames count up to its last commit. Nothing is changed, and nothing is asked of SQLite.
"""

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

Value = int | float | str | bytes | None

MAGIC = b"SQLite format 3\x00"
HEADER = 100  # bytes before the b-tree on the first page
PAGE_SIZES = tuple(2**power for power in range(9, 17))
USUAL = 8192
INNER_INDEX, INNER_TABLE, LEAF_INDEX, LEAF_TABLE = 2, 5, 10, 13
INNER = {INNER_INDEX, INNER_TABLE}
KINDS = {*INNER, LEAF_INDEX, LEAF_TABLE}
INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes of a serial type
REAL, ZERO, ONE, FIRST_BLOB = 7, 8, 9, 12
WAL_MAGIC, WAL_HEADER, FRAME_HEADER = 0x377F0682, 32, 24


class Row(NamedTuple):
    """A record; `number` is its rowid, None in a table WITHOUT ROWID."""

    number: int | None
    values: tuple[Value, ...]


class Carver:
    """The pages of a damaged file; `lost` counts the ones that could not be read so far."""

    def __init__(self, data: bytes | mmap.mmap, wal: bytes = b"") -> None:
        self._data = memoryview(data)
        self._size = _page_size(self._data)
        self._newer = _committed(wal, self._size)
        self._usable = self._size - self.page(1)[20] if len(self._data) else self._size
        if not self._size - 32 <= self._usable <= self._size:
            self._usable = self._size
        self._seen: set[int] = set()
        self.lost = 0

    def page(self, number: int) -> bytes:
        """Shorter where the file ends, empty where there is none."""
        start = (number - 1) * self._size
        return self._newer.get(number) or bytes(self._data[start : start + self._size])

    def close(self) -> None:
        self._data.release()

    @property
    def pages(self) -> int:
        return max(-(-len(self._data) // self._size), *self._newer, 0)

    def rows(self, root: int) -> Iterator[Row]:
        """All rows below a page that were not read yet."""
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number in self._seen:
                continue
            self._seen.add(number)
            page = self.page(number)
            start = HEADER if number == 1 else 0
            if len(page) < self._size or page[start] not in KINDS:
                self.lost += 1
                continue
            waiting += reversed(list(_children(page, start)))
            if page[start] != INNER_TABLE:
                yield from self._cells(page, start)

    def stray(self) -> Iterator[Row]:
        """Rows of leaf pages that no b-tree leads to any more, except of free pages."""
        free = set(self._free())
        for number in range(2, self.pages + 1):
            page = b"" if number in self._seen or number in free else self.page(number)
            if len(page) == self._size and page[0] == LEAF_TABLE:
                yield from self._cells(page, 0)

    def _free(self) -> Iterator[int]:
        trunk = int.from_bytes(self.page(1)[32:36], "big")
        seen: set[int] = set()
        while trunk and trunk not in seen and len(page := self.page(trunk)) == self._size:
            seen.add(trunk)
            yield trunk
            trunk, count = struct.unpack_from(">II", page)
            yield from struct.unpack_from(f">{min(count, self._size // 4 - 2)}I", page, 8)

    def _cells(self, page: bytes, start: int) -> Iterator[Row]:
        for place in _cell_places(page, start):
            try:
                yield self._row(page, page[start], place)
            except (IndexError, ValueError, struct.error):
                continue  # this row is lost, not its neighbours

    def _row(self, page: bytes, kind: int, place: int) -> Row:
        place += 4 if kind == INNER_INDEX else 0  # the child that lies before it
        length, place = _varint(page, place)
        number = None
        if kind == LEAF_TABLE:
            number, place = _varint(page, place)
        return Row(number, tuple(_record(self._payload(page, place, length, number is not None))))

    def _payload(self, page: bytes, place: int, length: int, is_table: bool) -> bytes:  # noqa: FBT001
        usable = self._usable
        most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if length <= most:
            return _exactly(page[place : place + length], length)
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= most else least
        pieces = [_exactly(page[place : place + local], local)]
        following = int.from_bytes(_exactly(page[place + local : place + local + 4], 4), "big")
        left, seen = length - local, set[int]()
        while left > 0:
            if following in seen or not following:
                raise ValueError
            seen.add(following)
            overflow = _exactly(self.page(following), self._size)
            pieces.append(overflow[4 : 4 + min(left, usable - 4)])
            left -= len(pieces[-1])
            following = int.from_bytes(overflow[:4], "big")
        self._seen |= seen
        return b"".join(pieces)


def _page_size(data: memoryview) -> int:
    named = int.from_bytes(data[16:18], "big")
    named = 65536 if named == 1 else named
    return named if named in PAGE_SIZES else USUAL


def _cell_places(page: bytes, start: int) -> Iterator[int]:
    array = start + (12 if page[start] in INNER else 8)
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    for pointer in range(array, min(array + 2 * count, len(page) - 1), 2):
        yield int.from_bytes(page[pointer : pointer + 2], "big")


def _children(page: bytes, start: int) -> Iterator[int]:
    if page[start] not in INNER:
        return
    for place in _cell_places(page, start):
        yield int.from_bytes(page[place : place + 4], "big")
    yield int.from_bytes(page[start + 8 : start + 12], "big")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        byte = data[place + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    value = value << 8 | data[place + 8]
    return value - (1 << 64) if value >> 63 else value, place + 9


def _record(payload: bytes) -> Iterator[Value]:
    head, place = _varint(payload, 0)
    if not place <= head <= len(payload):
        raise ValueError
    body = head
    while place < head:
        kind, place = _varint(payload, place)
        length = INTEGERS.get(kind, 8 if kind == REAL else max(0, (kind - FIRST_BLOB) // 2))
        raw = _exactly(payload[body : body + length], length)
        body += length
        yield _value(kind, raw)


def _value(kind: int, raw: bytes) -> Value:
    if kind in INTEGERS:
        return int.from_bytes(raw, "big", signed=True)
    if kind == REAL:
        return float(struct.unpack(">d", raw)[0])
    if kind in {ZERO, ONE}:
        return kind - ZERO
    if kind >= FIRST_BLOB:
        return raw.decode() if kind % 2 else raw
    if kind:
        raise ValueError
    return None


def _exactly(raw: bytes, length: int) -> bytes:
    if len(raw) != length or length < 0:
        raise ValueError
    return raw


def _committed(wal: bytes, size: int) -> dict[int, bytes]:
    """The newest of each page in a -wal, as far as its checksums hold and a commit was written."""
    if len(wal) < WAL_HEADER or int.from_bytes(wal[:4], "big") & ~1 != WAL_MAGIC:
        return {}
    order = ">" if wal[3] & 1 else "<"
    salts, pages, uncommitted = wal[16:24], dict[int, bytes](), dict[int, bytes]()
    sums = _checksum(order, wal[:24], (0, 0))
    if int.from_bytes(wal[8:12], "big") != size or struct.pack(">II", *sums) != wal[24:32]:
        return {}
    for start in range(WAL_HEADER, len(wal) - size - FRAME_HEADER + 1, size + FRAME_HEADER):
        head, page = wal[start : start + 24], wal[start + 24 : start + 24 + size]
        sums = _checksum(order, head[:8] + page, sums)
        if head[8:16] != salts or head[16:24] != struct.pack(">II", *sums):
            break
        number, after_commit = struct.unpack_from(">II", head)
        uncommitted[number] = page
        if after_commit:
            pages |= uncommitted
            uncommitted = {}
    return pages


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
