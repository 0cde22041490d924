"""Takes secrets out of text that leaves the machine. Rather a word too many is hidden than one too few."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
SHORTEST = 4  # what is shorter is not a secret, and hiding it would garble words
PLAIN = 6  # a part of an address, or the value of a variable, that is at least so long may be a secret

_NAMES = (
    r"(?:password|passwd|passphrase|pwd|secret|token|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|credentials?|"
    r"(?<![a-z])pass(?![a-z]))"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ and token@ of any address; what it contains until the last @ belongs to it
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s'\"]*@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # whatever is asked of an address: keys of vendors stand there
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s?'\"]*)\?[^\s'\")]+", re.IGNORECASE), rf"\1?{HIDDEN}"),
    (re.compile(r"\b((?:proxy-)?authorization['\"]?\s*[:=]\s*).*", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b((?:set-)?cookie['\"]?\s*[:=]\s*).*", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # password=..., 'api_key': '...', MY_TOKEN = ...
    (
        re.compile(
            rf"(\w{{0,30}}{_NAMES}\w{{0,30}}['\"]?\s*[:=]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&)}}\]]+)", re.IGNORECASE
        ),
        rf"\1{HIDDEN}",
    ),
    # tokens that give themselves away: JWT, GitHub, Slack, Stripe and OpenAI, AWS
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|xox[abeprs]-|xapp-|sk[-_]|rk_live_|AKIA|ASIA)[\w-]{8,}"), HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
)
_SECRET_VARIABLE = re.compile(rf"{_NAMES}|_KEY$|^KEY$|_DSN$", re.IGNORECASE)
_NO_SECRETS = ("PWD", "OLDPWD")  # the shell's working directories


class Redactor:
    """Hides these secrets, their parts, values of variables that are named like secrets, and what looks like one."""

    def __init__(self, secrets: Collection[str] = (), environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        named = {
            value
            for name, value in variables.items()
            if _SECRET_VARIABLE.search(name) and name not in _NO_SECRETS and len(value) >= PLAIN
        }
        words = {*secrets, *named, *(part for secret in secrets for part in _parts(secret))}
        # The longest first, so that no end of a word is left over when a shorter one is part of it.
        self._words = sorted((word for word in words if len(word) >= SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for word in self._words:
            text = text.replace(word, HIDDEN)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text


def scheme(url: str) -> str:
    """All of an alert's address that may be shown: its host and path are tokens with many services."""
    return f"{url.partition('://')[0].lower()}://{HIDDEN}"


def _parts(url: str) -> Iterator[str]:
    """What an address holds that is a secret by itself, as it is written and as it is meant."""
    head, mark, rest = url.partition("://")
    if not mark:
        return
    account, at, _ = rest.partition("/")[0].rpartition("@")
    user, colon, password = account.partition(":")
    if head.lower().startswith("postgres"):  # the rest of it names a place, but for passwords of its parameters
        for word in (password, *re.findall(r"[?&](?:ssl)?password=([^&]*)", rest)):
            yield from _both(word)
        return
    if at:
        yield from _both(password if colon else user)
    try:
        tokens = [*urlsplit(url).path.split("/"), *re.split(r"[&=?]", url.partition("?")[2]), urlsplit(url).netloc]
    except ValueError:
        tokens = rest.split("/")
    yield from (word for token in tokens if len(token) >= PLAIN for word in _both(token))


def _both(word: str) -> tuple[str, str]:
    return word, unquote(word)
