"""Our side of the benchmark of serving: Ray, HAProxy and the service, in one tree of processes.

`python -m jobs.benchmarks.serve_side FOLDER WORDS`: WORDS is the service's arguments, as JSON. It
says its port when the service is ready, and ends when its standard input does. Ports and folders
are its own, so that several may run on a machine.
"""

import json
import logging
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path


def free_ports(number: int) -> list[int]:
    """Of this machine; all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def haproxy_environment(folder: Path) -> dict[str, str]:
    """Of Ray's processes: HAProxy as the ingress, and Serve with fewer threads in the way."""
    metrics, stats, first = free_ports(3)
    place = {
        "METRICS_PORT": metrics,
        "STATS_PORT": stats,
        "CONFIG_FILE_LOC": folder / "haproxy.cfg",
        "SOCKET_PATH": folder / "admin.sock",
        "SERVER_STATE_BASE": folder,
        "SERVER_STATE_FILE": folder / "server-state",
    }
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_memory_monitor_refresh_ms": "0",  # it would end us for what others take
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(min(first, 64_000)),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(min(first, 64_000) + 500),
        **{f"RAY_SERVE_HAPROXY_{name}": str(value) for name, value in place.items()},
    }


def main(folder: str, words: str) -> None:
    os.environ.update(haproxy_environment(Path(folder)))  # before Ray reads it
    import ray
    from ray import serve

    from serve_apps.embeddings import EmbeddingsArgs, app

    [port] = free_ports(1)
    ray.init(
        address="local",
        num_cpus=8,  # so that all parts find a place, however few cores there are
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=400 * 2**20,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": port},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(app(EmbeddingsArgs.model_validate(json.loads(words))), name="embeddings")
    print(port, flush=True)
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
