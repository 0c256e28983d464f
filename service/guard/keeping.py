"""What a guard does with a message of its process's."""

from __future__ import annotations

import os

from service.guard import children
from service.guard.child import Child
from service.guard.messages import Message, pack
from service.guard.store import Entry, Store


def attend(store: Store, child: Child, message: Message, parents: int) -> None:
    """Do what the message says; one that makes no sense is left alone, whoever is guarded by it.

    So many `parents` have left and may still have children of which something is held.
    """
    try:
        _VERBS[message.verb](store, child, message)
    except ChildProcessError:
        child.say(pack("ALIVE" if parents else "UNKNOWN", message.words[0]))
    except (KeyError, ValueError, IndexError):
        pass  # of a newer version, perhaps
    finally:
        for fd in message.descriptors:
            os.close(fd)


def tell(store: Store, child: Child) -> None:
    """Tell a process of all that is held."""
    for key, entry in store.items():
        opened = [index for index, fd in enumerate(entry.descriptors) if fd >= 0]
        head = pack("HELD", key, entry.pid, ",".join(map(str, opened)), state=entry.state)
        child.say(head, [entry.descriptors[index] for index in opened])
    child.say(pack("READY"))


def _hello(store: Store, child: Child, message: Message) -> None:
    can_leave, child.version = message.words
    child.can_leave = can_leave == "1"
    child.is_ready = True


def _store(store: Store, child: Child, message: Message) -> None:
    key, pid = message.words
    if not message.is_whole:
        child.say(pack("REFUSED", key))
        return
    store.put(key, Entry(int(pid), message.state, message.descriptors))
    message.descriptors = []


def _state(store: Store, child: Child, message: Message) -> None:
    if (entry := store.get(message.words[0])) is not None:
        entry.state = message.state


def _close(store: Store, child: Child, message: Message) -> None:
    if (entry := store.get(message.words[0])) is not None:
        entry.close(int(message.words[1]))


def _remove(store: Store, child: Child, message: Message) -> None:
    if (entry := store.remove(message.words[0])) is not None and entry.ending is None:
        children.reap(entry.pid)


def _reap(store: Store, child: Child, message: Message) -> None:
    (key,) = message.words
    entry = store.get(key)
    if entry is None or not entry.pid:
        child.say(pack("UNKNOWN", key))
        return
    if entry.ending is None and (ending := children.ending(entry.pid)) is not None:
        store.reaped(entry, ending)
    child.say(pack("ALIVE", key) if entry.ending is None else pack("ENDED", key, *entry.ending))


def _reaped(store: Store, child: Child, message: Message) -> None:
    key, *ending = message.words
    if (entry := store.get(key)) is not None and len(ending) == 4:
        store.reaped(entry, tuple(ending))


def _left(store: Store, child: Child, message: Message) -> None:
    child.has_left = True


_VERBS = {
    "HELLO": _hello,
    "STORE": _store,
    "STATE": _state,
    "CLOSE": _close,
    "REMOVE": _remove,
    "REAP": _reap,
    "LEFT": _left,
    "REAPED": _reaped,
}
