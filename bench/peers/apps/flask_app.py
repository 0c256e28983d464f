"""The classic stack's application: the newest jobs, from Redis while they are fresh."""

import hmac
import json
import os
import sqlite3

import redis
from flask import Flask, Response, abort, request

COLUMNS = (
    "id, state, owner, spec, created_at, started_at, finished_at, duration, pid, reason,"
    " exit_code, signal, usage, stdout_bytes, stderr_bytes"
)
FRESH_S = 1

app = Flask(__name__)
cache = redis.Redis.from_url(os.environ["BENCH_REDIS"] + "/0")
expected = f"Bearer {os.environ['BENCH_TOKEN']}"
db = sqlite3.connect(f"file:{os.environ['BENCH_LEDGER']}?mode=ro", uri=True)


@app.get("/v1/jobs")
def jobs():
    if not hmac.compare_digest(request.headers.get("Authorization", ""), expected):
        abort(401)
    limit = int(request.args.get("limit", 50))
    page = cache.get(f"jobs:{limit}")
    if page is None:
        page = newest(limit)
        cache.set(f"jobs:{limit}", page, ex=FRESH_S)
    return Response(page, mimetype="application/json")


def newest(limit):
    sql = f"SELECT {COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?"
    found = [dict(zip(COLUMNS.split(", "), row, strict=True)) for row in db.execute(sql, (limit,))]
    for job in found:
        job["spec"] = json.loads(job["spec"])
        job["usage"] = json.loads(job["usage"])
    return json.dumps({"jobs": found})
