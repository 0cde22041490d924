"""What every request and every answer passes: a limit of the body's size, headers that tell browsers what is safe."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from breadthflow_pipelines.api.problems import Problem

MOST_BYTES = 64 * 1024  # of a request's body; the largest that anybody needs starts a run

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # pages have one of their own
}


class SecurityHeaders:
    """Gives every answer the headers that it does not have itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)


class LimitedBody:
    """Refuses a request whose body is too large, whether it says so or only is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if not said.isdecimal() or int(said) > MOST_BYTES:
            await _too_large().answer()(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > MOST_BYTES:
                    raise _too_large()
            return message

        await self.app(scope, counted, send)


def _too_large() -> Problem:
    return Problem(413, f"The body has more than {MOST_BYTES} bytes.", "Send less; no request needs as much.")
