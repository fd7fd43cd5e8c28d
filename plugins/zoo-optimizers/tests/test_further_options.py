"""The conformance kit with options that the defaults leave out."""

from __future__ import annotations

from zoo.testing import OptimizerSuite


class TestGaLorePerLayer(OptimizerSuite):
    """Without a backward pass its `step` moves what has a gradient."""

    component = "zoo-optimizers/galore"
    options = ({"rank": 4, "update_gap": 2, "per_layer": True},)


class TestAdafactorInThePapersForm(OptimizerSuite):
    """Relative steps, which a rate of 0 still stops."""

    component = "zoo-optimizers/adafactor"
    options = ({"relative_step": True, "scale_parameter": True, "beta1": 0.9},)
