"""A job's output in the order it was read.

    record    what is noted of one chunk, and how it is written down
    layout    what is kept of a stream, and where records lie in their file
    text      where a chunk may be cut without cutting a character
    pieces    how what was read is cut into chunks
    item      what a reader gets        extent    which bytes of a stream are kept
    memory    a journal in memory, and as one blob in the ledger
    files     a journal on the disk: a file of records, and one for the bytes of each stream
      records   the file of records        data      the file of a stream's bytes
      hole      gives back the room of a part of a file
      ring      bytes as version 1 wrote them
    view      what a reader sees: which bytes are kept, and the items
    reader    reading a journal that has ended, wherever it is
    journal   writing one, and following it while it is written. Its rooms:
      store       in memory, then in files    spliced  what was read by way of the kernel
      characters  no chunk cuts one           writer   chunks, with their numbers
      recent      the last items, in memory, the same for all followers
      holds       readers for whom the job waits     wakeups  wakes who follows
      timers      what it does later

Of each stream the first half of `output_bytes` and the last half are kept; what lies between is
dropped and counted, to the byte. Up to two times `max(4,096, output_bytes / 64)` chunks are kept
of a stream: only a job that writes very many chunks of less than 32 bytes is cut by that first.

`seq` rises by one with each chunk. Chunks that were dropped one after another are one item with
`dropped`, under the last one's number. Where only the front of a chunk was dropped, that front is
counted in the item before, so an item's number never comes twice and a resume after any number
gives exactly the items after it. Offsets are absolute: a client that compares them knows of every
byte whether it was told.

Bytes come first, then their record: what lies beyond the last record when a writer was killed is
recorded by the next one (`Journal.take_over`), so that nothing is lost or doubled between them.

Reading and writing are calls into the page cache of at most some hundred KiB, on the thread of
the caller; nothing here waits for a disk (no fsync).
"""

from service.journal.files import remove, sizes
from service.journal.item import Item, SentItem
from service.journal.journal import Journal
from service.journal.reader import Reader

__all__ = ["Item", "Journal", "Reader", "SentItem", "remove", "sizes"]
