"""HTTP: the contract's version 1, told to clients as it stands in `docs/http.md`.

routes      the table of routes, and the application made of it
jobs        submit, list, get, cancel, signal, delete
output      a job's output: raw, and as a journal
events      changes of state of all jobs
stdin       bytes for an open stdin
streaming   an answer that goes on while something happens
streams     all of these: how many there may be, and whose turn it is
health      livez, readyz, metrics
readiness   whether the ledger can be written
openapi     the contract as OpenAPI 3.1, made from the same types
handler     what every handler has: who may call, JSON in and out
query       what stands behind the question mark, and in Prefer and Range
access      tokens, sessions, and the hosts and origins that may be named
session     signing in and out, for browsers
sessions    those that are open
page        the web page, whose files are in static/
problems    errors as problem+json; the one table of statuses
"""
