"""Language codes, as options take them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Language = Annotated[
    str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="Language code, such as zh or en")
]
