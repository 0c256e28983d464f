"""squall beside its peers, on this machine, in one run: ``python -m bench [--quick] [a b c ...]``.

``measures/`` holds what is measured, a file for each letter; ``peers/`` holds the others, a file
each, and ``peers/apps/`` what runs inside of them. ``figure`` is what comes out: the values of all
turns, and ratios; ``goals`` says what they should be; ``table`` shows both. ``place`` keeps what is
started and removes all of it; ``fleet`` is squall itself, ``front`` the nginx of the others;
``wrk``, ``client`` and ``submit`` make the load; ``usage`` reads memory and processor time;
``filled`` makes a ledger of a million jobs; ``needs`` says what is missing and how to install it.

``library.py`` stands apart: it measures the library, not the service.
"""
