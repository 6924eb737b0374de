"""What a step writes into the metadata of its files: scale, configuration, code, seed and model."""

import raml
from raml.code import code_digest
from raml.config import Section, config_hash
from raml.storage import Provenance


def provenance(scale: str, section: Section, module: str, *, seed: int | None, model_hash: str | None) -> Provenance:
    """The provenance of a file that `module` writes under the configuration `section`."""
    return Provenance(
        scale=scale,
        config_hash=config_hash(section),
        code_version=f"{raml.__version__}+{code_digest(module)}",
        seed=seed,
        model_hash=model_hash,
    )
