"""Specs that ship, and peers over the specs of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.spec import load_cells, load_spec
from zoo.spec.peer_spec import PeerSpec

SPECS = Path(__file__).parents[3] / "benchmarks" / "specs" / "vision"


@pytest.mark.parametrize("other", ["image-to-text", "image-ctc"])
def test_the_engines_have_task_and_scoring_of_the_recognisers_that_they_stand_beside(other: str) -> None:
    model = load_spec(SPECS / f"{other}.yaml")
    cells = load_cells(SPECS / "peers.yaml")
    assert len(cells) == 3
    for cell in cells:
        assert isinstance(cell.spec, PeerSpec)
        assert (cell.spec.task, cell.spec.evaluation) == (model.task, model.evaluation)


def test_a_peer_is_laid_over_any_spec_of_lines_by_one_setting(capsys: pytest.CaptureFixture[str]) -> None:
    model = load_spec(SPECS / "smoke.yaml")
    given = ["name=read", "peer={use: tesseract, psm: 13}"]
    spec = load_spec(SPECS / "smoke.yaml", given)
    assert isinstance(spec, PeerSpec)
    assert (spec.task, spec.evaluation, spec.measurement) == (model.task, model.evaluation, model.measurement)
    assert main(["check", str(SPECS / "smoke.yaml"), "--set", given[0], "--set", given[1]]) == 0
    out = capsys.readouterr().out
    assert out.startswith("read: task rendered-lines")
    assert "peer tesseract" in out


def test_detectors_and_translators_have_other_tasks() -> None:
    for name in ("pages-detection.yaml", "../smoke.yaml"):
        with pytest.raises(InputError, match="take another task, or another peer"):
            load_spec(SPECS / name, ["peer=rapidocr"])


@pytest.mark.parametrize("command", ["build", "train"])
def test_nothing_of_a_peer_is_built_or_trained(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    given = [str(SPECS / "smoke.yaml"), "--set", "peer=tesseract", "--out", str(out)]
    assert main([command, *given]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "zoo: lines-smoke: the peer 'tesseract' comes as it is, and nothing of it is built or trained here: "
        "'zoo bench' evaluates it"
    ]
    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "said"), [("lang=../eng", "lang"), ("psm=3", "expected 7 or 13"), ("scale_to=4", "8")]
)
def test_options_out_of_range_are_refused(given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_spec(SPECS / "smoke.yaml", ["peer=tesseract", f"peer.{given}"])
