from __future__ import annotations

from pathlib import Path

import pytest

from zoo.bench.executor import Executor, Settings
from zoo.testing import ExecutorSuite

SMOKE = Path(__file__).parents[3] / "benchmarks" / "specs" / "smoke.yaml"


class TestLocal(ExecutorSuite):
    component = "zoo-executors/local"
    options = ({}, {"workers": 2})
    spec = SMOKE


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(300)
class TestRay(ExecutorSuite):
    component = "zoo-executors/ray"
    options = ({"workers": 2},)
    spec = SMOKE

    @pytest.mark.soak
    def test_nothing_stays_at_work_when_nobody_wants_more(self, executor: Executor, settings: Settings) -> None:
        super().test_nothing_stays_at_work_when_nobody_wants_more(executor, settings)
