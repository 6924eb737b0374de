"""Programs as answers: where a completion has its program, what formatted means of it, and whether it passes its tests.

The gold answer of such a question is a text of tests as `gold_text` writes it.
"""

import base64
import binascii
import json
import pickletools
import re
import zlib
from typing import Any, Final

from raml.answers.format import END_OF_TEXT_PATTERN, THINK_END, thinks_cleanly
from raml.answers.sandbox import Cases, run_tests
from raml.errors import InputError

_BLOCK = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_LARGEST: Final = 1 << 30  # bytes of unpacked tests; LiveCodeBench's are up to some tens of millions
_TEXT_OPCODES: Final = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_OTHER_OPCODES: Final = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "STOP"}


def extract_code(completion: str) -> str | None:
    """The last closed fenced block after the thinking; None where there is none or it is empty."""
    *_, last = [None, *_BLOCK.finditer(_after_thinking(completion))]
    return last[1] if last and last[1].strip() else None


def is_formatted_code(completion: str) -> bool:
    """Whether a completion ends with a closed fenced block that is not empty.

    Whitespace and end-of-text tokens may follow; think tags must be as `is_formatted` asks.
    """
    text = _after_thinking(completion)
    *_, last = [None, *_BLOCK.finditer(text)]
    if not last or not last[1].strip():
        return False
    after = END_OF_TEXT_PATTERN.sub("", text[last.end() :])
    return not after.strip() and thinks_cleanly(completion, len(completion) - len(text) + last.start())


def _after_thinking(completion: str) -> str:
    return completion.rpartition(THINK_END)[2]


def passes(code: str, gold: str) -> bool:
    """Whether `code` passes all tests of the text `gold`, in a sandbox.

    Raises:
        InputError: `gold` is no text of tests.
        RamlError: no sandbox can be started.
    """
    return run_tests(code, read_tests(gold)).passed


def gold_text(tests: Cases) -> str:
    """Tests as JSON, the same for the same tests."""
    value = {"function": tests.function, "inputs": tests.inputs, "outputs": tests.outputs}
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def read_tests(text: str) -> Cases:
    """Tests from what `gold_text` has written.

    Raises:
        InputError: it is something else, or holds no test.
    """
    try:
        value = json.loads(text)
        tests = Cases(value["function"], tuple(value["inputs"]), tuple(value["outputs"]))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{text[:60]!r} are no tests of a program") from None
    texts = [*tests.inputs, *tests.outputs, tests.function or ""]
    if not tests.inputs or len(tests.inputs) != len(tests.outputs) or not all(isinstance(one, str) for one in texts):
        raise InputError(f"{text[:60]!r} are no tests of a program: as many inputs as outputs are needed, at least one")
    return tests


def published_tests(public: str, private: str, function: str | None) -> Cases:
    """Tests as LiveCodeBench publishes them, the public ones first.

    Args:
        public: JSON, a list of mappings with `input` and `output`.
        private: such JSON, or that in a pickle, compressed with zlib, in base64.
        function: the function to call, or None for standard input and output.

    Raises:
        InputError: one of them is something else, or there is no test.
    """
    cases = [*_cases(public, "public"), *_cases(_plain(private), "private")]
    if not cases:
        raise InputError("there is neither a public nor a private test")
    return Cases(function or None, *(tuple(case[side] for case in cases) for side in ("input", "output")))


def unpickled_text(data: bytes) -> str:
    """The text in a pickle of one text. Nothing is built from the pickle: its instructions are read, not followed.

    Raises:
        InputError: it is no pickle, or holds anything but one text.
    """
    found: list[str] = []
    try:
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name in _TEXT_OPCODES:
                found.append(str(argument))
            elif opcode.name not in _OTHER_OPCODES:
                raise InputError(f"the pickle holds {opcode.name}, and not one text alone")
            end = position
    except InputError:
        raise
    except Exception as error:  # broken pickles make pickletools raise nearly anything
        raise InputError(f"not a pickle ({type(error).__name__})") from None
    if len(found) != 1 or end != len(data) - 1:
        raise InputError("the pickle does not hold one text alone")
    return found[0]


def _plain(private: str) -> str:
    if private.lstrip().startswith("["):
        return private
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(base64.b64decode(private, validate=True), _LARGEST)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise InputError(f"the private tests are neither JSON nor compressed ({error})") from None
    if not unpack.eof:
        raise InputError(f"the private tests are truncated, or larger than {_LARGEST:,} bytes")
    return unpickled_text(data)


def _cases(text: str, which: str) -> list[dict[str, Any]]:
    try:
        cases = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"the {which} tests are not JSON") from None
    if not isinstance(cases, list) or not all(
        isinstance(case, dict) and isinstance(case.get(side), str) for case in cases for side in ("input", "output")
    ):
        raise InputError(f"the {which} tests are no list of mappings with the texts `input` and `output`")
    return cases
