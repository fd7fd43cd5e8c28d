"""The probes, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component


def components() -> Iterator[Component]:
    yield Component(
        kind="probe",
        name="domain-tag",
        target="zoo_tasks_text.probes.domain_tag:DomainTag",
        options="zoo_tasks_text.probes.options:DomainTagOptions",
        summary="Loss and scores with the right domain tag, another domain's, a random one, and none",
        references=("arXiv:1612.06140", "arXiv:1602.00137"),
    )
