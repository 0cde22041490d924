"""Encryption of backups: age files, to be opened by BreadthFlow or by the program `age` (docs/decisions/backups.md).

The file of the key is what `age-keygen` writes; `new_key` writes the same. Nothing here knows what is encrypted.
"""

import os
from pathlib import Path
from typing import IO

import pyrage
from pyrage import x25519

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.observability.disk import disk_full, says_full

_PREFIX = "AGE-SECRET-KEY-"


class Key:
    """A key that backups are encrypted for, and opened with."""

    def __init__(self, file: Path) -> None:
        """Read it.

        Raises:
            RequestError: there is no key in that file, or it cannot be read; never repeats what is in it.
        """
        self._file = file
        try:
            lines = [line.strip() for line in file.read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise RequestError(f"BREADTHFLOW_BACKUP_KEY={file} cannot be read: {why}.") from None
        try:
            self._identity = x25519.Identity.from_str(next(line for line in lines if line.startswith(_PREFIX)))
        except (StopIteration, pyrage.IdentityError):
            raise RequestError(
                f"BREADTHFLOW_BACKUP_KEY={file} holds no key of age. To make one, run: breadthflow db backup-key FILE"
            ) from None

    def seal(self, plain: IO[bytes], sealed: IO[bytes], place: Path) -> None:
        """Encrypt a stream. place: where it is written to, for the message about a full disk."""
        try:
            pyrage.encrypt_io(plain, sealed, [self._identity.to_public()])
        except (OSError, pyrage.EncryptError) as error:
            raise disk_full(place) if says_full(str(error)) else _unsealed(place, "cannot be encrypted") from None

    def open(self, sealed: Path, plain: IO[bytes]) -> None:
        """Decrypt a file into a stream. What was written before an error is genuine, and not all of it.

        Raises:
            RequestError: it was encrypted for another key.
            BreadthFlowError: it was changed or cut short.
        """
        try:
            with sealed.open("rb") as file:
                pyrage.decrypt_io(file, plain, [self._identity])
        except pyrage.DecryptError:
            raise RequestError(f"{sealed} was encrypted for another key than that of {self._file}.") from None
        except BrokenPipeError:  # who reads it has read enough
            raise
        except OSError:
            raise _unsealed(sealed, "was changed or cut short") from None


def new_key(file: Path) -> str:
    """Write a new key, readable by its owner only, into a file that is not there yet; returns its public half.

    Raises:
        RequestError: the file exists, or cannot be written.
    """
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
            target.write(f"# public key: {public}\n{identity}\n")
    except FileExistsError:
        raise RequestError(f"{file} exists; a key that backups need is never overwritten.") from None
    except OSError as error:
        raise RequestError(f"{file} cannot be written: {error.strerror}.") from None
    return public


def _unsealed(place: Path, how: str) -> BreadthFlowError:
    return BreadthFlowError(f"{place} {how}.")
