"""Tables of sweeps, beside tables that were written by hand."""

import re
import statistics
from dataclasses import replace

import pytest
from sweeps import TABLE_6, batch_sizes, sweep, trial

from figclip.tuning.effects import effects
from figclip.tuning.levels import SECONDS, levels, measure_of, measured, spread
from figclip.tuning.record import CurvePoint, PaperTable, TrialRecord
from figclip.tuning.tables import cost_table, result_tables, state_table, trial_table

RESULT = """\
|       | batch size | image-to-text retrieval (%) R@1 (↑) | text-to-image retrieval (%) R@1 (↑) | seeds |
|------:|-----------:|------------------------------------:|------------------------------------:|------:|
|  ours |         16 |                        12.00 ± 2.00 |                        12.00 ± 2.00 |     3 |
|  ours |         32 |                        21.00 ± 1.00 |                        21.00 ± 1.00 |     3 |
|  ours |         64 |                                   – |                                   – |     0 |
| paper |         2k |                               79.69 |                               78.43 |       |
| paper |         4k |                               82.90 |                               81.86 |       |
"""  # noqa: E501

STATES = """\
|    trials | number |                      why |
|----------:|-------:|-------------------------:|
|  complete |      6 |                          |
|    pruned |      1 | stopped at 1,000 samples |
|    failed |      1 |            out of memory |
| not begun |      1 |                          |

6 of 9 planned trials are complete."""


def test_our_rows_stand_over_those_of_supplementary_table_6_in_its_columns():
    (table,) = result_tables(batch_sizes())
    assert table.as_markdown().startswith(RESULT)
    assert "Supplementary Table 6" in table.note


def test_every_end_of_a_trial_is_counted_with_its_reason():
    assert state_table(batch_sizes()).as_markdown() == STATES


def test_a_table_of_times_counts_in_the_first_rows_seconds():
    """Supplementary Table 4, and the one of the data sets that our trials did not measure."""
    paper = PaperTable(
        "Supplementary Table 4",
        ("image size", "training time", "loss (↓)", "img2txt (%) R@1 (↑)"),
        (("224px", "1.00x", 0.3819, 82.9), ("384px", "1.92x", 0.3406, 84.63)),
    )
    downstream = PaperTable("Supplementary Table 5", ("image size", "PCam"), (("224px", 73.41),))
    names = ("model.vision.image_size", "pixels.size")
    trials = [
        replace(
            trial(number, dict.fromkeys(names, size), seconds=3 * seconds), label=(f"{size}px",)
        )
        for number, (size, seconds) in enumerate([(96, 30.0), (48, 20.0)])
    ]
    record = sweep(trials, varied=names, paper=paper, downstream=downstream)
    first, second = result_tables(record)
    assert [row[:4] for row in first.rows[1:]] == [
        ["ours", "48px", "1.00x", "0.6667"],
        ["ours", "96px", "1.50x", "0.6667"],
        ["paper", "224px", "1.00x", "0.3819"],
        ["paper", "384px", "1.92x", "0.3406"],
    ]
    assert [row[2] for row in second.rows[1:]] == ["–", "–", "73.41"]


def test_sets_that_the_paper_did_not_have_stand_in_columns_of_their_own():
    """Supplementary Table 5: one of its sets was judged by here, and one of ours."""
    names = ("model.vision.image_size",)
    first = PaperTable("Supplementary Table 4", ("image size", "loss"), (("224px", 0.38),))
    paper = PaperTable(
        "Supplementary Table 5",
        ("image size", "PCam", "RSNA", "mean"),
        (("224px", 73.41, 78.95, 75.52), ("384px", 67.15, 78.49, 70.37)),
    )
    trials = [
        judged_zero_shot(
            trial(n, {names[0]: size}, seed=seed),
            {"zero_shot_pcam": 0.5 + seed / 100, "zero_shot_my_scans": size / 100},
        )
        for n, (size, seed) in enumerate([(48, 0), (48, 1), (96, 0), (96, 1)])
    ]
    record = sweep(trials, varied=names, paper=first, downstream=paper)
    assert result_tables(record)[0].rows[0] == ["", "image size", "loss", "seeds"]
    table = result_tables(record)[1]
    assert table.rows == [
        ["", "image size", "PCam", "RSNA", "mean", "my scans", "seeds"],
        ["ours", "48", "50.50 ± 0.71", "–", "–", "48.00 ± 0.00", "2"],
        ["ours", "96", "50.50 ± 0.71", "–", "–", "96.00 ± 0.00", "2"],
        ["paper", "224px", "73.41", "78.95", "75.52", "–", ""],
        ["paper", "384px", "67.15", "78.49", "70.37", "–", ""],
    ]
    assert "Of my scans the paper has nothing." in table.note
    told = {effect.measure.column: effect.verdict for effect in effects(record)}
    assert told["my scans"] is None, "the paper has nothing to agree with"
    assert told["PCam"] == "undecided"


def test_a_ranking_has_a_column_for_every_set():
    found = judged_zero_shot(trial(0, {"lr": 1e-3}), {"zero_shot_my_scans": 0.25})
    (table,) = result_tables(sweep([found], varied=("lr",), paper=None))
    assert dict(zip(*table.rows, strict=True))["my scans (%)"] == "25.00"


def judged_zero_shot(one: TrialRecord, found: dict[str, float]) -> TrialRecord:
    """With what its encoder was judged by at its end."""
    *before, last = one.curve
    return replace(one, curve=(*before, replace(last, metrics={**last.metrics, **found})))


def test_a_set_is_found_by_its_name_and_another_that_ends_in_it_is_not():
    known = {"zero_shot_lc25000_lung", "zero_shot_mean", "zero_shot_my_pcam", "mean_recall", "loss"}
    assert measure_of("PCam", known) is None
    found = measure_of("LC25000 (Lung)", known)
    assert found is not None
    assert found.metric == "zero_shot_lc25000_lung"
    assert measure_of("hidden dim", known) is None


def test_an_epoch_that_a_kill_prolonged_does_not_move_the_training_time():
    points = [
        CurvePoint(1_000 * n, n, {"epoch_seconds": s}) for n, s in enumerate((10.0, 90.0, 11.0), 1)
    ]
    found = replace(trial(0, {"batch_size": 16}), curve=tuple(points), values=(0.5,))
    assert measured(found, sweep([found]))[SECONDS] == 11.0


def test_a_search_lists_its_best_setting_first_and_unfinished_ones_last():
    trials = [
        trial(0, {"lr": 1e-3}, recall=0.2),
        trial(1, {"lr": 2e-3}, state="failed", reason="diverged"),
        trial(2, {"lr": 3e-3}, recall=0.4),
        trial(3, {"lr": 3e-3}, recall=0.2, seed=1),
    ]
    (table,) = result_tables(sweep(trials, varied=("lr",), paper=None))
    assert [row[0] for row in table.rows] == ["lr", "0.003", "0.001", "0.002"]
    assert [row[1] for row in table.rows[1:]] == ["30.00 ± 14.14", "20.00", "–"]
    lowest = sweep(trials, varied=("lr",), paper=None, objectives=(("loss", "minimize"),))
    assert [row[0] for row in result_tables(lowest)[0].rows[1:]] == ["0.001", "0.003", "0.002"]


def test_numbers_grow_down_a_table_and_words_keep_the_order_of_the_plan():
    numbers = [trial(n, {"batch_size": size}) for n, size in enumerate((64, 8, 16))]
    assert [level.params["batch_size"] for level in levels(sweep(numbers))] == [8, 16, 64]
    words = [trial(n, {"tower": name}) for n, name in enumerate(("small", "base", "large"))]
    found = levels(sweep(words, varied=("tower",)))
    assert [level.params["tower"] for level in found] == ["small", "base", "large"]


@pytest.mark.parametrize("values", [(0.1, 0.4), (3.0, 1.0, 2.0), (5.0,) * 4])
def test_a_deviation_is_that_of_a_sample(values):
    found = spread(values)
    assert found is not None
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values))


def test_one_seed_has_no_deviation():
    assert spread([0.5]).deviation is None  # type: ignore[union-attr]
    assert spread([]) is None


def test_a_metric_that_is_no_number_leaves_its_cell_empty():
    (table,) = result_tables(sweep([trial(0, {"batch_size": 16}, recall=float("nan"))]))
    assert table.rows[1] == ["ours", "16", "–", "–", "1"]


def test_no_word_of_a_trial_breaks_its_table():
    bad = trial(0, {"batch_size": "a|b"}, state="failed", reason="RuntimeError:\n| no\n\nmemory")
    for table in (state_table, trial_table, cost_table):
        lines = table(sweep([bad])).as_markdown().split("\n\n")[0].splitlines()
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(bars) == 1


def test_sums_are_those_of_the_trials():
    record = batch_sizes()
    *settings, total = cost_table(record).rows[1:]
    assert total[2] == "20,000"
    assert sum(int(row[2].replace(",", "")) for row in settings) == 20_000
    assert float(total[4]) == sum(t.cpu_hours for t in record.trials)


def test_the_papers_numbers_keep_their_last_zero():
    assert TABLE_6.rows[1][1] == 82.9
    assert result_tables(batch_sizes())[0].rows[-1][2] == "82.90"
