"""What the registry sees of this distribution."""

from zoo.registry import current_registry


def test_the_schemes_are_found_under_this_distribution() -> None:
    found = {item.id: item.traits for item in current_registry().components("position")}
    where = {id_.split("/")[1]: traits["where"] for id_, traits in found.items() if id_.startswith("zoo-positional/")}
    assert where == {
        "none": "none",
        "sinusoidal": "embedding",
        "learned": "embedding",
        "rotary": "attention",
        "alibi": "attention",
        "shape": "embedding",
        "shaw": "attention",
        "t5": "attention",
        "p-transformer": "attention",
        "deberta": "attention",
        "transformer-xl": "attention",
        "sum": "members",
    }
