"""Secrets from files: BREADTHFLOW_<NAME>_FILE names the file that holds a secret setting, as containers are given them.

Only settings that are declared secrets have such a file; which ones those are, settings.py says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from breadthflow_pipelines.errors import RequestError


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is declared a secret."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


class SecretFiles(PydanticBaseSettingsSource):
    """Reads them. variables: names in small letters and values, of the environment and of ``.env``."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """The content of the file of a setting, without the white space around it; None where there is none.

        Raises:
            RequestError: the file cannot be read, is empty, or the setting is there twice. Its content is never shown.
        """
        variable = f"{self.config.get('env_prefix', '')}{field_name}"
        place = self._variables.get(f"{variable}_file".lower())
        if not place or not is_secret(field):
            return None, field_name, False
        if self._variables.get(variable.lower()):
            raise RequestError(f"{variable.upper()} and {variable.upper()}_FILE are both set; keep one.")
        try:
            secret = Path(place).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise RequestError(f"{variable.upper()}_FILE={place} cannot be read: {why}.") from None
        if not secret:  # as unset it would mean the embedded store, no password, no alerts
            raise RequestError(
                f"{variable.upper()}_FILE={place} is empty: write the secret into it, or unset the variable."
            )
        return secret, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value}
