"""What is read off a model, changing nothing: the contract of probes, and the harness that measures them.

Light: `zoo.probes.contracts`, `zoo.probes.reading` and `zoo.probes.harness` import torch.
"""

from zoo.probes.options import ProbeOptions

__all__ = ["ProbeOptions"]
