"""What forms send. The size of a body is limited before it comes here (api/passage.py)."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.sessions import refuse_other_sites

MOST_FIELDS = 20


async def fields_of(request: Request) -> Mapping[str, str]:
    """The fields of a form that the page itself sends.

    Raises:
        Problem: 403, another site does; 422, it is no form.
    """
    refuse_other_sites(request)
    body = (await request.body()).decode(errors="replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Problem(422, f"The form has more than {MOST_FIELDS} fields.", "Send the page's own form.") from None


Fields = Annotated[Mapping[str, str], Depends(fields_of)]
