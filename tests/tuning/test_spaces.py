"""Every question of `tune_spaces` fits the recipes that it changes."""

import pytest

from figclip.config import UsageError
from figclip.training.recipe import PretrainConfig
from figclip.tuning.spaces import Between, Budget, grid_points, refuse_unknown_keys, spread
from jobs.pretrain import PRESETS
from jobs.sweep_question import SPACES, open_space

BUDGETS = [(space, budget) for space in SPACES for budget in open_space(space).budgets]


@pytest.mark.parametrize(("space", "name"), BUDGETS)
def test_every_point_of_every_space_makes_a_config(space: str, name: str):
    budget = open_space(space).budget(name)
    refuse_unknown_keys(budget.varied, PretrainConfig)
    base = PRESETS[budget.base].part(PretrainConfig).with_overrides(budget.fixed)
    drawn = {
        key: value.low if isinstance(value, Between) else value[0]
        for key, value in budget.search.items()
    }
    for params in [*budget.points(), spread(drawn)]:
        assert base.with_overrides({**params, "seed": 1}).seed == 1


@pytest.mark.parametrize("space", SPACES)
def test_a_label_has_a_word_for_every_column_that_the_paper_does_not_measure(space: str):
    found = open_space(space)
    if found.paper is None or space == "learning_rate":
        return
    measured = ("loss", "training time", "img2txt (%) R@1", "txt2img (%) R@1")
    columns = [name for name in found.paper.columns if name not in measured]
    for name, budget in found.budgets.items():
        expected = len(found.downstream.columns) - 2 if name == "continual" else len(columns)
        assert {len(point.label) for point in grid_points(budget, 1)} == {expected}


@pytest.mark.parametrize("space", SPACES)
def test_rows_of_a_paper_table_are_as_wide_as_its_head(space: str):
    found = open_space(space)
    for table in filter(None, (found.paper, found.downstream)):
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_an_unknown_key_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"'optim\.weight-decay'.*'optim\.weight_decay'"):
        refuse_unknown_keys(("batch_size", "optim.weight-decay"), PretrainConfig)
    with pytest.raises(UsageError, match=r"'model\.vison\.width'.*'model\.vision\.width'"):
        refuse_unknown_keys(("model.vison.width",), PretrainConfig)


def test_a_grid_asks_each_value_with_each_and_joined_names_together():
    budget = Budget(base="tiny", grid={"a & b": (1, 2), "c": ("x", "y")}, num_seeds=2)
    points = list(grid_points(budget, 2))
    assert [dict(point.params) for point in points[:4]] == [
        {"a": 1, "b": 1, "c": "x"},
        {"a": 1, "b": 1, "c": "y"},
        {"a": 2, "b": 2, "c": "x"},
        {"a": 2, "b": 2, "c": "y"},
    ]
    assert [point.seed for point in points] == [0] * 4 + [1] * 4
    assert points[0].label == (1, "x")
    assert len({point.identity for point in points}) == 8


@pytest.mark.parametrize(
    ("space", "budget", "row", "preset"),
    [
        ("vision_encoder", "paper", 0, "biomedclip_vit_s16"),
        ("vision_encoder", "paper", 1, "biomedclip_vit_m16"),
        ("text_encoder", "paper", 0, "biomedclip_vit_b16_gpt77"),
        ("resolution", "paper", 1, "biomedclip_vit_b16_384"),
        ("batch_schedule", "paper", 1, "biomedclip_batch_4k_to_64k"),
        ("initialisation", "continual", 0, "biomedclip_rn50_continual"),
        ("initialisation", "continual", 1, "biomedclip_vit_b16_continual"),
    ],
)
def test_a_row_of_the_paper_is_the_preset_of_the_same_row(
    space: str, budget: str, row: int, preset: str
):
    asked = open_space(space).budget(budget)
    base = PRESETS[asked.base].part(PretrainConfig).with_overrides(asked.fixed)
    found = base.with_overrides(asked.points()[row])
    expected = PRESETS[preset].part(PretrainConfig)
    assert found == expected
