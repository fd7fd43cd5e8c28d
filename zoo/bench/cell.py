"""A cell: everything that decides a result, and the key that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo import __version__
from zoo.spec import Spec, distributions_of

CORE = "zoo-registry"


@dataclass(frozen=True)
class Cell:
    """Resolved spec (its seed included) + data revision + plugin versions + hardware class.

    The description of a spec changes nothing and is left out of the key. So are the versions of torch and of other
    libraries: they are in each record's environment, and `zoo bench --again` runs a finished cell anew.
    """

    spec: Spec
    data_revision: str
    hardware: str

    @property
    def distributions(self) -> dict[str, str]:
        """Distribution -> version of the core and of every plugin that the spec uses."""
        return dict(sorted({CORE: __version__, **distributions_of(self.spec)}.items()))

    @property
    def key(self) -> str:
        """sha256 in hex."""
        plain = {key: value for key, value in self.spec.plain().items() if key != "description"}
        return _key(
            {
                "role": "model",
                "spec": plain,
                "data_revision": self.data_revision,
                "distributions": self.distributions,
                "hardware": self.hardware,
            }
        )

    def baseline_key(self, baseline: str) -> str:
        """The key of a control on this cell's task: the same for every model with this data, tokenizer and scoring.

        A control tells what a score is worth, so it is run once for a board and not once for a model.
        """
        plain = self.spec.plain()
        return _key(
            {
                "role": "baseline",
                "baseline": baseline,
                "spec": {section: plain[section] for section in ("task", "tokenizer", "decoding", "evaluation")},
                "data_revision": self.data_revision,
            }
        )


def _key(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
