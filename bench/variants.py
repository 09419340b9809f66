"""The variants measured side by side: nginx, the bare transport, the naive proxy, the proxy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.process import PROXY_CORE, Process, wait_for_port
from proxy.base.free_port import free_port

COLLECTION = "bench"
_NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_body_buffer_size 64k;
  keepalive_requests 1000000000;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """One proxy under test. admin: the port of its admin listener, if any."""

    name: str
    process: Process
    port: int
    admin: int | None = None

    def backlog(self) -> int:
        """Return the number of writes that PostgreSQL does not have yet."""
        if self.admin is None:
            return 0
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status", timeout=10) as answer:
            return int(json.load(answer)["backlog"])

    def drain(self, seconds: float = 120) -> float:
        """Wait until the backlog is empty; return the seconds taken. Raise RuntimeError if it does not drain."""
        started = time.perf_counter()
        while self.backlog():
            if time.perf_counter() - started > seconds:
                raise RuntimeError(f"{self.name}: the backlog was not drained within {seconds:g} s")
            time.sleep(0.02)
        return time.perf_counter() - started if self.admin is not None else 0.0


def nginx(origin: int, folder: Path) -> Variant | None:
    """Start nginx with `proxy_pass`; return None if it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    folder.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, origin=origin, port=port, user=user))
    return _started("nginx", [program, "-p", str(folder), "-c", str(config)], port)


def bare(origin: int) -> Variant:
    """Start listener and upstream with nothing between."""
    port = free_port()
    return _started("bare", [sys.executable, "-m", "bench.bare", str(port), f"http://127.0.0.1:{origin}"], port)


def naive(origin: int, dsn: str, table: str) -> Variant:
    """Start the same listener with one awaited upsert per write."""
    port = free_port()
    command = [sys.executable, "-m", "bench.naive", str(port), f"http://127.0.0.1:{origin}", dsn, table]
    return _started("naive", command, port)


def crossfade(origin: int, dsn: str, folder: Path, *, name: str = "crossfade", mirrored: bool = True) -> Variant:
    """Start the proxy as in production, its collection in stage `mirror` (or `off`), sampling 0 %, metrics on."""
    port, admin = free_port(), free_port()
    program = str(Path(sys.executable).with_name("crossfade"))
    env = {
        "CROSSFADE_ORIGIN": f"http://127.0.0.1:{origin}",
        "CROSSFADE_DSN": dsn,
        "CROSSFADE_LISTEN_PORT": str(port),
        "CROSSFADE_ADMIN_PORT": str(admin),
        "CROSSFADE_STATE_DIR": str(folder / f"{name}-state"),
        "CROSSFADE_SAMPLE_PERCENT": "0",
        "CROSSFADE_LOG_LEVEL": "warning",
    }
    _run([program, "migrate"], env)
    variant = _started(name, [program, "proxy", "run"], port, admin=admin, env=env, log=folder / f"{name}.log")
    if mirrored:
        _run([program, "mirror", f"_system/{COLLECTION}"], env)
    return variant


def _started(
    name: str,
    command: list[str],
    port: int,
    *,
    admin: int | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Variant:
    process = Process(command, core=PROXY_CORE, env=env, log=log)
    try:
        wait_for_port(port, process)
    except RuntimeError as error:
        process.stop()
        output = log.read_text(errors="replace")[-2000:] if log is not None else ""
        raise RuntimeError(f"{name} did not start: {error}\n{output}") from error
    return Variant(name, process, port, admin)


def _run(command: list[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
