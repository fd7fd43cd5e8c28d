"""What the registry sees of this distribution."""

from zoo.registry import current_registry


def test_the_five_schemes_are_found_under_this_distribution() -> None:
    found = {item.id: item.traits for item in current_registry().components("position")}
    where = {
        name: found[f"zoo-positional/{name}"]["where"] for name in ("none", "sinusoidal", "learned", "rotary", "alibi")
    }
    assert where == {
        "none": "none",
        "sinusoidal": "embedding",
        "learned": "embedding",
        "rotary": "attention",
        "alibi": "attention",
    }
