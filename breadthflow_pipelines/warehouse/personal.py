"""Where names of users stand, the only personal data in the store: readers see none of it, and it can be erased.

What is done with it: roles.py, privacy.py.
"""

from collections.abc import Mapping, Sequence

# By table, the columns that hold a user's name and nothing else. Of a view, columns of these names are hidden as well.
NAMED: Mapping[str, Sequence[str]] = {
    "audit": ("who", "behalf", "login"),
    "quarantined_bars": ("decided_by",),
    "hole_decisions": ("decided_by",),
    "api_tokens": ("held_by", "created_by", "revoked_by"),
    "run_requests": ("who",),
}
NAMES = frozenset(column for columns in NAMED.values() for column in columns)
# By table, the columns with what people wrote, in which a name may occur among other words.
REASONS: Mapping[str, Sequence[str]] = {
    "audit": ("reason",),
    "quarantined_bars": ("reason",),
    "hole_decisions": ("reason",),
}
# Not for whoever asks what is stored of a user: of secrets, and of what was requested.
HASHES = ("secret_hash", "key_hash", "body_hash")
