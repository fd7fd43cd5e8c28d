"""The corpora, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component


def components() -> Iterator[Component]:
    yield Component(
        kind="corpus",
        name="generated",
        target="zoo_tasks_text.corpora.generated:GeneratedCorpus",
        options="zoo_tasks_text.corpora.options:GeneratedOptions",
        summary="Small generated language pair with reordering and agreement; needs no download",
        traits={"languages": ("qaa", "qab"), "family": "generated", "network": False},
    )

    for language, name in (("zh", "Chinese"), ("ja", "Japanese")):
        yield Component(
            kind="corpus",
            name=f"office-{language}-en",
            target=f"zoo_tasks_text.corpora.office:Office{name}",
            options="zoo_tasks_text.corpora.options:DebianOptions",
            summary=f"LibreOffice help in {name} and English, built from Debian's packages (10 MB)",
            traits={"languages": (language, "en"), "family": "office", "network": True},
        )
    yield Component(
        kind="corpus",
        name="parallel-files",
        target="zoo_tasks_text.corpora.files:FilesCorpus",
        options="zoo_tasks_text.corpora.options:FilesOptions",
        summary="Your own parallel text: TSV, JSONL or two line-aligned files",
        traits={
            "network": False,
            "example": {"name": "mine", "languages": ["zh", "en"], "train": "train.tsv"},
            "files": True,
        },
    )
