"""The corpora, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component

_FROM_DEBIAN = {
    "office": "LibreOffice help (10 MB)",
    "games": "Texts of the game Cataclysm: Dark Days Ahead (30 MB)",
    "stories": "Campaigns of Battle for Wesnoth (270 MB)",
    "manuals": "Handbooks, installation guides and kernel documentation (170 MB)",
    "interfaces": "Messages of six programs, Blender and Chromium among them (80 MB)",
}


def components() -> Iterator[Component]:
    yield Component(
        kind="corpus",
        name="generated",
        target="zoo_tasks_text.corpora.generated:GeneratedCorpus",
        options="zoo_tasks_text.corpora.options:GeneratedOptions",
        summary="Controlled language: a generated pair of any size whose properties are options; needs no download",
        traits={"languages": ("qaa", "qab"), "family": "generated", "network": False},
    )
    yield Component(
        kind="corpus",
        name="reversal",
        target="zoo_tasks_text.corpora.reversal:Reversal",
        options="zoo_tasks_text.corpora.options:ReversalOptions",
        summary="Random sequences of words and their reverses, a test of positions; needs no download",
        traits={
            "languages": ("qac", "qad"),
            "family": "reversal",
            "network": False,
            "example": {"pairs": 300, "dev_pairs": 20, "test_pairs": 20},
        },
    )

    for family, what in _FROM_DEBIAN.items():
        for language, name in (("zh", "Chinese"), ("ja", "Japanese")):
            yield Component(
                kind="corpus",
                name=f"{family}-{language}-en",
                target=f"zoo_tasks_text.corpora.{family}:{family.capitalize()}{name}",
                options="zoo_tasks_text.corpora.options:DebianOptions",
                summary=f"{what} in {name} and English, built from Debian's packages",
                traits={"languages": (language, "en"), "family": family, "network": True},
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
    yield Component(
        kind="corpus",
        name="mix",
        target="zoo_tasks_text.corpora.mix:MixCorpus",
        options="zoo_tasks_text.corpora.options:MixOptions",
        summary="Several corpora as one, with weights and tags",
        traits={
            "network": False,
            "example": {
                "name": "mixed",
                "languages": ["qaa", "qab"],
                "parts": [
                    {"corpus": {"use": "generated", "pairs": 300, "dev_pairs": 20, "test_pairs": 20}, "weight": 1.5}
                ],
            },
        },
    )
    yield Component(
        kind="corpus",
        name="hf-dataset",
        target="zoo_tasks_text.corpora.hugging_face:HuggingFaceCorpus",
        options="zoo_tasks_text.corpora.library_options:HuggingFaceOptions",
        summary="A dataset of Hugging Face's library, from a folder or the hub",
        traits={"network": True, "files": True},
    )
    yield Component(
        kind="corpus",
        name="sacrebleu",
        target="zoo_tasks_text.corpora.sacrebleu_sets:SacrebleuCorpus",
        options="zoo_tasks_text.corpora.library_options:SacrebleuOptions",
        summary="One of sacrebleu's test sets, with training data from another corpus",
        traits={
            "network": True,
            "example": {"name": "wmt20", "languages": ["zh", "en"], "test": "wmt20", "train": "office-zh-en"},
        },
    )
