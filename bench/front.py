"""nginx in front of the peers, with the settings that it has in front of squall."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bench.needs import find
from bench.place import Place, free_ports, is_open, wait_until

CONF = """
worker_processes auto;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log nginx.log error;
events {{ worker_connections 4096; }}
http {{
    upstream peer {{
        zone peer 128k;
        server {server};
        keepalive 64;
    }}
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            {passing}
        }}
    }}
}}
"""

BY_HTTP = """
            proxy_pass http://peer;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""

BY_FASTCGI = """
            fastcgi_pass peer;
            fastcgi_keep_conn on;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param SCRIPT_FILENAME {directory}$fastcgi_script_name;
            fastcgi_param CONTENT_LENGTH $content_length;
"""


@contextmanager
def before(place: Place, server: str, passing: str = BY_HTTP) -> Iterator[str]:
    """Have an nginx that passes everything on to `server`; its URL."""
    (port,) = free_ports()
    directory = place.directory(f"nginx-{port}")
    conf = directory / "nginx.conf"
    conf.write_text(CONF.format(server=server, port=port, passing=passing))
    nginx = find("nginx") or "nginx"
    how = "daemon off; user root;" if os.geteuid() == 0 else "daemon off;"
    with place.running(nginx, "-e", "stderr", "-p", directory, "-c", conf, "-g", how):
        wait_until(lambda: is_open(port), "nginx")
        yield f"http://127.0.0.1:{port}"
