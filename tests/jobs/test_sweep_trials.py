"""A trial that was never published, looked at through its checkpoint."""

import numpy as np
import pytest
from small_pairs import publish_pairs
from small_runs import CONFIG

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.evaluation.grid_rows import split_captions
from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.tuning.plan import Plan
from figclip.tuning.spaces import Budget
from figclip.tuning.study import Question, SweepStudy
from figclip.tuning.trial import Setup, run_trial
from figclip.tuning.winner import publish_trial
from jobs.sweep_compare import CompareJob, embeddings_of

BUDGET = Budget(base="small", grid={"batch_size": (4,)}, num_seeds=1)
BASE = CONFIG.with_overrides({"precision": "fp32", "epochs": 1})


@pytest.mark.timeout(240)
def test_a_trials_checkpoint_embeds_as_the_encoder_that_is_published_of_it(tmp_path):
    store = publish_pairs(tmp_path, num_train=40, num_validation=12)
    shares = (CorpusShare(pairs="small"),)
    setting = {
        "recipe": BASE.model_dump(mode="json"),
        "pairs": [share.model_dump(mode="json") for share in shares],
    }
    question = Question(
        "small",
        "Which?",
        "small",
        (("mean_recall", "maximize"),),
        BUDGET.varied,
        None,
        None,
        setting,
    )
    storage = f"sqlite:///{tmp_path}/sweeps.db"
    study = SweepStudy(storage, "small", question)
    plan = Plan(study, BUDGET, BASE)
    plan.write()
    setup = Setup(
        store=store.url, folder="runs/sweep", corpora=shares, base=BASE,
        fit=lambda config, _: config, validate=validate,
    )  # fmt: skip
    trial = plan.next()
    assert trial is not None
    told = []
    run_trial(setup, trial.number, trial.params, trial.seed, told.append)
    study.finish(trial.number, told[-1])

    config = CompareJob(store=store.url, storage=storage, pairs="small", split="validation")
    before = embeddings_of(config, "small:0")
    assert store.versions("encoder") == []
    assert store.versions("embeddings") == []

    version = publish_trial(study, setup, study.record.trials[0]).version
    encoder = Encoder.open(store.open("encoder", version))
    captions = split_captions(store.open("pairs", "small"), "validation")
    expected = encoder.encode_texts(captions, batch_size=4).vectors
    np.testing.assert_allclose(before.texts, expected, atol=1e-6)

    with pytest.raises(UsageError, match="has no trial 5"):
        embeddings_of(config, "small:5")
