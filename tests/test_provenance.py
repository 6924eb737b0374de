import raml
from raml.code import code_digest
from raml.config import Evaluation, config_hash
from raml.provenance import provenance

SECTION = Evaluation(n=4, k=2, bootstrap_resamples=10, confidence=0.9)


def test_a_file_says_what_made_it() -> None:
    made = provenance("micro", SECTION, "raml.config", seed=3, model_hash="abc")
    assert made.scale == "micro"
    assert made.config_hash == config_hash(SECTION)
    assert made.code_version == f"{raml.__version__}+{code_digest('raml.config')}"
    assert (made.seed, made.model_hash) == (3, "abc")
