"""What optimizers cost, of models that differ in nothing else, as a table."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.site.conftest import cpu, parse, quality, spec
from zoo.bench.record import CurvePoint
from zoo.bench.standings import metric_order, standings
from zoo.site.training_costs import training_costs

PARAMETERS = 1_000_000
PLAIN = {"rank": 16, "per_layer": False}


def tables(records):
    found = standings(records)
    return training_costs(found, next(iter(metric_order(found)), None))


@pytest.fixture
def trained(make_record):
    def make(use, lr, *, loss=None, state=8, seed=1, growth=40, model="rotary", kind="rss", **options):
        changes = {key: options.pop(key) for key in ("status", "error") if key in options}
        name = f"toy+optimizer={use}-{'-'.join(map(str, options.values()))}-lr={lr}"
        plain = deepcopy(spec(name, model, seed))
        plain["training"]["optimizer"] = {"use": f"zoo-optimizers/{use}", "lr": lr, **options}
        memory = {"kind": kind, "peak": (400 + growth) * 2**20, "before": 400 * 2**20}
        return make_record(
            name=name,
            seed=seed,
            spec=plain,
            parameters=PARAMETERS,
            training_tokens=600_000,
            curve=[]
            if loss is None
            else [CurvePoint(step=100, dev_loss=loss + 1), CurvePoint(step=200, dev_loss=loss)],
            quality=[quality(30.0)],
            performance=[
                cpu(
                    optimizer_state_bytes=state * PARAMETERS,
                    training_steps_per_second=12.5,
                    training_memory=memory,
                )
            ],
            **changes,
        )

    return make


def test_each_optimizer_stands_at_the_rate_of_its_lowest_last_development_loss(trained):
    (table,) = tables(
        [
            trained("sgd", 0.1, loss=2.0, state=4),
            trained("sgd", 0.3, loss=1.5, state=4),
            trained("adamw", 0.001, loss=1.0),
            trained("adamw", 0.01, loss=1.25),
        ]
    )
    assert table.name == "toy"
    assert table.device == "CPU AMD EPYC 7763 64-Core Processor, 2 threads, float32"
    assert [(row.label, row.rate, row.rates) for row in table.rows] == [("adamw", "0.001", 2), ("sgd", "0.3", 2)]
    rows = [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows]
    assert [row["Dev loss (nats)"] for row in rows] == ["1.00", "1.50"]
    assert [row["State, bytes a parameter"] for row in rows] == ["8.00", "4.00"]
    assert [row["Tokens"] for row in rows] == ["600 k", "600 k"]
    assert [row["Steps/s"] for row in rows] == ["12.5", "12.5"]
    assert [row["Growth in steps, MiB, rss"] for row in rows] == ["40.0", "40.0"]
    assert [row["Peak in steps, MiB, rss"] for row in rows] == ["440", "440"]


def test_over_seeds_losses_have_a_mean_and_a_range_and_costs_a_median(trained):
    (table,) = tables(
        [
            *(trained("adamw", 0.001, loss=loss, growth=40 + seed, seed=seed) for seed, loss in ((1, 1.0), (2, 2.0))),
            *(trained("sgd", 0.1, loss=loss, growth=20, seed=seed) for seed, loss in ((1, 3.0), (2, 3.0))),
        ]
    )
    rows = [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows]
    assert [row["Dev loss (nats)"] for row in rows] == ["1.50 (1.00 to 2.00)", "3.00"]
    assert [row["Growth in steps, MiB, rss"] for row in rows] == ["41.5", "20.0"]


def test_an_optimizer_all_of_whose_rates_failed_stands_last_and_a_failed_rate_is_never_the_best(trained):
    failed = {"status": "nan", "error": "the loss of step 3 is nan"}
    (table,) = tables(
        [
            trained("sgd", 0.1, loss=2.0),
            trained("sgd", 3.0, loss=0.1, **failed),
            trained("lion", 0.1, loss=0.2, **failed),
            trained("adamw", 0.1, loss=1.0),
        ]
    )
    assert [(row.label, row.rate, row.failed) for row in table.rows] == [
        ("adamw", "0.1", 0),
        ("sgd", "0.1", 1),
        ("lion", "0.1", 1),
    ]


def test_forms_of_one_optimizer_are_told_apart_by_what_is_set_in_one_of_them(trained):
    (table,) = tables(
        [
            trained("galore", 0.1, loss=1.0, **PLAIN),
            trained("galore", 0.2, loss=2.0, **PLAIN),
            trained("galore", 0.1, loss=3.0, **{**PLAIN, "per_layer": True}),
        ]
    )
    assert [(row.label, row.rates) for row in table.rows] == [("galore", 2), ("galore per_layer", 1)]


def test_models_that_differ_elsewhere_too_and_rates_of_one_optimizer_make_no_table(trained):
    assert tables([trained("sgd", 0.1, loss=1.0), trained("sgd", 0.3, loss=2.0)]) == ()
    assert tables([trained("sgd", 0.1, loss=1.0), trained("adamw", 0.3, loss=2.0, model="alibi")]) == ()


def test_the_board_has_the_table_with_links_to_the_models(build, trained):
    board = build([trained("sgd", 0.1, loss=2.0), trained("adamw", 0.1, loss=1.0)]).board()
    (heading,) = [item for item in board.all("h2") if "What training costs" in item.words]
    assert heading.words == "What training costs, by optimizer: toy"
    table = next(table for table in board.all("table") if table.all("th")[0].words == "Optimizer")
    links = [row.one("th").one("a") for row in table.one("tbody").all("tr")]
    assert [link.words for link in links] == ["adamw", "sgd"]
    assert all("../models/" in link.attributes["href"] for link in links)


def test_loss_steps_and_memory_of_training_are_columns_of_the_board_and_rows_of_the_page(build, trained, make_record):
    site = build([trained("sgd", 0.1, loss=2.0, seed=seed) for seed in (1, 2)])
    headers = [header.words for header in site.board().all("th", scope="col")]
    for expected in ("Dev loss nats", "Training steps steps/s ↑higher is better", "Training growth MiB, rss"):
        assert expected in headers
    (file,) = (site.folder / "models").glob("*.html")
    page = parse(file).one("section", aria_labelledby="performance").words
    assert "440 MiB" in page
    assert "before the first step 400 MiB" in page
    plain = build([make_record(curve=[])]).board()
    assert not any("Dev loss" in header.words or "Training memory" in header.words for header in plain.all("th"))
