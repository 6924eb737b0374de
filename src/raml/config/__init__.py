"""The typed configuration of a scale: what is run, never where it runs.

`config/scales/<scale>.yaml` is read by `load_scale` into a `Scale`; each job receives only its own
section as JSON, so that a changed value reruns exactly the jobs that depend on it.
"""

from raml.config.data import (
    Benchmark,
    BenchmarkKind,
    CommunityModel,
    Dataset,
    EngineSettings,
    FamilyName,
    HubModel,
    Oracle,
    Published,
    PublishedBenchmark,
    Questions,
    QuestionSet,
    Sampling,
    Style,
    Writer,
)
from raml.config.load import (
    SCALES_DIR,
    available_scales,
    canonical_json,
    config_hash,
    load_scale,
    merge,
    validate,
)
from raml.config.measuring import Efficiency, Evaluation, Landscape, Normalisation, Probing, Summariser, Updates
from raml.config.scale import Scale
from raml.config.section import Section
from raml.config.training import (
    DPO,
    GRPO,
    SFT,
    Annealing,
    Architecture,
    Device,
    Hardware,
    Lora,
    Pretraining,
    Sweeps,
    Training,
)

__all__ = [
    "DPO",
    "GRPO",
    "SCALES_DIR",
    "SFT",
    "Annealing",
    "Architecture",
    "Benchmark",
    "BenchmarkKind",
    "CommunityModel",
    "Dataset",
    "Device",
    "Efficiency",
    "EngineSettings",
    "Evaluation",
    "FamilyName",
    "Hardware",
    "HubModel",
    "Landscape",
    "Lora",
    "Normalisation",
    "Oracle",
    "Pretraining",
    "Probing",
    "Published",
    "PublishedBenchmark",
    "QuestionSet",
    "Questions",
    "Sampling",
    "Scale",
    "Section",
    "Style",
    "Summariser",
    "Sweeps",
    "Training",
    "Updates",
    "Writer",
    "available_scales",
    "canonical_json",
    "config_hash",
    "load_scale",
    "merge",
    "validate",
]
