"""The sampling step with vLLM in it (`make test-vllm`)."""

import polars as pl
import pytest
from test_sample import CONFIG, folder, sample  # noqa: F401  # `folder` is a fixture

from raml.schemas import Trajectory
from raml.storage import read_table

pytestmark = pytest.mark.vllm
VLLM = {**CONFIG, "engine": {"name": "vllm", "dtype": "float32"}}


def test_models_that_share_a_process_write_what_each_writes_alone(folder):  # noqa: F811
    both = sample(folder, "both.parquet", config=VLLM, models=("base", "other"))
    alone = sample(folder, "alone.parquet", config=VLLM, models=("other",))
    table = read_table(both, Trajectory)
    assert len(table) == 16
    assert table.select("engine", "engine_version", "dtype").unique().rows() == [("vllm", "0.31.0", "float32")]
    assert table.filter(pl.col("writer") == "other").equals(read_table(alone, Trajectory))
    assert sample(folder, "again.parquet", config=VLLM, models=("other",)).read_bytes() == alone.read_bytes()


def test_a_greedy_table_is_that_of_the_torch_sampler(folder):  # noqa: F811
    def greedy(config, out):
        cold = {**config, "sampling": {**config["sampling"], "temperature": 0.0}}
        return read_table(sample(folder, out, config=cold), Trajectory).drop("engine", "engine_version")

    assert greedy(VLLM, "vllm.parquet").equals(greedy(CONFIG, "torch.parquet"))
