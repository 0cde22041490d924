"""The server: an address to listen at, and uvicorn, until it is asked to stop."""

import socket
from collections.abc import Callable

import uvicorn

from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.service import open_service
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import Settings

STOP_SECONDS = 5  # for answers that are under way
IDLE_SECONDS = 10  # of a kept connection
MOST_CONNECTIONS = 500


def run(settings: Settings, host: str, port: int, say: Callable[[str], None], *, without_tokens: bool) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        RequestError: the port is taken, or the store is not of this program's version.
        DatabaseError: the store cannot be reached.
    """
    with _listening(host, port) as listener:
        service = open_service(settings, without_tokens=without_tokens)
        config = uvicorn.Config(
            create_app(service),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            proxy_headers=bool(settings.api_proxies),
            forwarded_allow_ips=list(settings.api_proxies),
        )
        who = "whoever is on this machine needs no token" if without_tokens else "breadthflow token create NAME"
        shown = f"[{host}]" if ":" in host else host
        say(f"API and page: http://{shown}:{port}  ({who}; Ctrl-C stops it)")
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except OSError as error:
        raise RequestError(
            f"Port {port} of {host} cannot be used ({error.strerror}); choose another: breadthflow serve --port "
            f"{port + 1}"
        ) from None
