import json
from itertools import pairwise

import pytest

from benchmarks import speed_table
from benchmarks.measure import bar
from benchmarks.results_table import (
    BEGIN,
    END,
    LODO_HEADING,
    PAGES,
    main,
    read_summaries,
    render,
    render_lodo,
)
from htnet.core.errors import InputError
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.evaluation.report import SampleResult, summarize
from htnet.training import RECIPES

DATASETS = ("casme2", "samm", "smic")


#: What the summary of `lodo` says besides.
LODO = {"leave": "dataset"}


def summary(model, protocols=("last", "best_on_test"), seeds=(0, 1), datasets=DATASETS, **more):
    """A real summary of made-up answers; those of seed 1 are all right, of the others all 'negative'."""
    names = [(d, c) for d in datasets for c in range(3)]
    manifest = Manifest(tuple(Sample(f"{d}{c}", d, f"p{c}", EMOTIONS[c]) for d, c in names))
    samples = [
        SampleResult(f"{d}{c}", d, f"p{c}", seed, protocol, c, c if seed == 1 else 0, (1.0, 0.0, 0.0))
        for protocol in protocols
        for seed in seeds
        for d, c in names
    ]
    run = {
        "model": model,
        "recipe": RECIPES["default"].to_dict(),
        "preprocess": PreprocessSpec().to_dict(),
        "seeds": list(seeds),
        **more,
    }
    return summarize(samples, manifest, seeds, run)


def tables(text):
    """The rows of each table, without its two lines of heading, under the line above it."""
    parts = text.split("\n\n")
    above = [name for name, block in pairwise(parts) if block.startswith("| ")]
    cells = [
        [[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines() if line.startswith("|")]
        for block in parts
        if block.startswith("| ")
    ]
    return {name: (rows[0], rows[2:]) for name, rows in zip(above, cells, strict=True)}


def write(folder, kind="loso", **summaries):
    folder.mkdir(exist_ok=True)
    for name, content in summaries.items():
        (folder / f"{kind}_{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def test_table_shows_models_side_by_side_under_each_protocol(tmp_path):
    # By file name STSTNet would come first.
    folder = write(tmp_path, a=summary("ststnet"), b=summary("htnet_small"))
    found = tables(render(read_summaries(folder)))
    ours = list(found)[:2]
    assert [("last" in name, "leaks" in name) for name in ours] == [(True, False), (False, True)]
    for name in ours:
        header, body = found[name]
        assert header == ["model", "seeds", "Full", "SMIC", "CASME II", "SAMM"]
        assert [row[0].split(" ")[0] for row in body] == ["HTNet", "STSTNet"]
    # All 'negative': F1 of 0.5, 0, 0 and recalls of 1, 0, 0. With the right seed the means are 7/12 and 2/3;
    # deviations are half the distance times the square root of two.
    assert found[ours[0]][1][0][1:] == ["2", "0.5833 ± 0.5893 / 0.6667 ± 0.4714", *["0.5833 / 0.6667"] * 3]
    htnet, ststnet = list(found)[2:]
    assert "leaks" in htnet
    assert found[htnet][1][0][2:] == ["0.8603 / 0.8475", "0.8049 / 0.7905", "0.9532 / 0.9516", "0.8131 / 0.8124"]
    assert "leaks" not in ststnet


def test_columns_follow_their_data_sets(tmp_path):
    content = summary("htnet_small", protocols=("last",), seeds=(0,))
    for place, group in enumerate(("full", "smic", "casme2", "samm"), 1):
        content["protocols"]["last"]["mean"][group] = {"uf1": place / 10, "uar": place / 10 + 0.05}
    (row,) = next(iter(tables(render(read_summaries(write(tmp_path, x=content)))).values()))[1]
    # One seed has no deviation.
    assert row[1:] == ["1", "0.1000 / 0.1500", "0.2000 / 0.2500", "0.3000 / 0.3500", "0.4000 / 0.4500"]


def test_pages_are_rewritten_between_the_markers_and_checked(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    options = ["--results", str(write(tmp_path / "results", x=summary("htnet_small"))), "--pages", str(page)]
    assert main([*options, "--check"]) == 1
    assert "old" in page.read_text("utf-8")
    assert main(options) == 0
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "`htnet_small`" in text
    assert main([*options, "--check"]) == 0
    assert page.read_text("utf-8") == text
    write(tmp_path / "results", y=summary("ststnet"))
    capsys.readouterr()
    assert main([*options, "--check"]) == 1
    assert str(page) in capsys.readouterr().out


def test_databases_left_out_have_a_table_of_their_own(tmp_path):
    page, folder = tmp_path / "page.md", write(tmp_path / "results", x=summary("htnet_small"))
    page.write_text(f"{BEGIN}\n{END}\n", "utf-8")
    options = ["--results", str(folder), "--pages", str(page)]
    assert main(options) == 0
    alone = page.read_text("utf-8")
    assert LODO_HEADING not in alone
    content = summary("htnet_small", seeds=(0, 1, 2), **LODO)
    for place, group in enumerate(("full", "smic", "casme2", "samm"), 1):
        content["protocols"]["last"]["mean"][group] = {"uf1": place / 10, "uar": place / 10 + 0.05}
    write(folder, kind="lodo", x=content, y=summary("ststnet", protocols=("nested",), **LODO))
    assert main([*options, "--check"]) == 1
    assert main(options) == 0
    first, second = page.read_text("utf-8").split(LODO_HEADING)
    assert first.strip() == alone.replace(END, "").strip(), "the other table stays as it was"
    (header, (last,)), (_, (nested,)), (_, (leaking,)) = tables(second).values()
    assert header[2:] == ["Full", "tested on SMIC", "tested on CASME II", "tested on SAMM"]
    assert [row[0].split(" ")[0] for row in (last, nested, leaking)] == ["HTNet", "STSTNet", "HTNet"]
    assert last[1] == "3"
    assert last[2].startswith("0.1000 ± ")
    assert last[3:] == ["0.2000 / 0.2500", "0.3000 / 0.3500", "0.4000 / 0.4500"]
    assert "**leaks**" in list(tables(second))[2]
    assert "data set" in list(tables(second))[2]
    assert "paper" not in second
    assert render_lodo([]) == ""


def test_the_two_kinds_of_run_are_not_taken_for_each_other(tmp_path):
    folder = write(tmp_path, x=summary("htnet_small", **LODO))
    with pytest.raises(
        InputError, match=r"loso_x\.json is of a run that left one dataset out .* lodo_ for one dataset"
    ):
        read_summaries(folder)
    old = {k: v for k, v in summary("htnet_small").items() if k != "leave"}  # as files from before have it
    write(folder, x=old)
    assert read_summaries(folder) == [old]
    write(folder, kind="lodo", y=old)
    with pytest.raises(InputError, match=r"lodo_y\.json is of a run that left one subject out"):
        read_summaries(folder, "dataset")


@pytest.mark.parametrize("text", ["no markers", f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_a_page_without_its_markers_is_refused(text, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    assert main(["--results", str(tmp_path), "--pages", str(page)]) == 2
    assert str(page) in capsys.readouterr().err
    assert page.read_text("utf-8") == text


def test_other_files_are_refused_by_name(tmp_path):
    folder = write(tmp_path / "a", other={"protocols": {}})
    with pytest.raises(InputError, match=r"loso_other\.json is not a summary"):
        read_summaries(folder)
    folder = write(tmp_path / "b", casme3=summary("htnet_small", datasets=("casme3",)))
    with pytest.raises(InputError, match=r"loso_casme3\.json has scores for full, not for"):
        read_summaries(folder)
    assert read_summaries(tmp_path) == []


def test_readme_and_docs_show_the_committed_results(capsys):
    assert all(page.is_file() for page in PAGES)
    assert main(["--check"]) == 0, "run python -m benchmarks.results_table"


def test_speed_page_is_up_to_date():
    assert speed_table.main(["--check"]) == 0


def test_speed_bars_are_shown_met_or_missed(tmp_path):
    machine = {"cores": 2, "cpu": "A"}
    bars = [bar("first: times as fast", 2.0, {"median": 3.0}), bar("second", 1.1, 1.2, at_most=True)]
    (tmp_path / "inference_cpu.json").write_text(json.dumps({**machine, "bars": bars}))
    (tmp_path / "zoo_cpu.json").write_text(json.dumps({**machine, "models": {"x": {"bars": bars[:1]}}}))
    found = speed_table.table(tmp_path)
    assert found.count("| first: times as fast | 2 | 3 | yes | 2 cores, A |") == 2
    assert "| second | 1.1 | 1.2 | **missed** |" in found
    assert "`python -m benchmarks.run inference_gpu`" in found
    (tmp_path / "inference_gpu_cuda.json").write_text(json.dumps({"gpu": "G", "bars": bars[:1]}))
    found = speed_table.table(tmp_path)
    assert "| yes | G |" in found
    assert "inference_gpu" not in found
