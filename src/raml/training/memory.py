"""What a training step holds in the memory of one device, in bytes, and how many sequences fit at once.

The formulas follow what transformers, TRL and accelerate do, and the tests hold them against measured steps:
weights that are trained, their gradients and AdamW's two moments are fp32 at either precision (autocast and FSDP
compute in bf16 on copies), frozen weights have the precision itself, and TRL's fused head works on tiles of tokens
and vocabulary, so that logits never exist as a whole. Nothing here imports torch.
"""

from dataclasses import dataclass, fields

from raml.config import Architecture, Hardware, Lora
from raml.errors import ConfigError

USABLE = 0.9  # of a device's memory; the rest is the driver's, the network's and lost between blocks
HEAD_TOKENS, HEAD_VOCABULARY = 4096, 32_768  # tile of TRL's fused head, allocated in its full width
TORCH_TILES = 6  # copies of the part in use that plain torch makes; with Triton it is changed in place
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Memory:
    """Bytes on one device at the peak of a step."""

    weights: int
    gradients: int
    optimiser: int
    frozen: int  # reference models
    working: int  # weights gathered or cast for the computation, gradients on their way to other devices
    activations: int  # what the backward pass needs of the forward pass, the layer at work included
    head: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return sum(getattr(self, part.name) for part in fields(self))


def parameters(shape: Architecture) -> int:
    """Weights of the model; of biases those of queries, keys and values alone, as in Qwen2."""
    embeddings = shape.vocabulary * shape.hidden_size * (1 if shape.tied else 2)
    return embeddings + shape.layers * layer_parameters(shape) + shape.hidden_size


def layer_parameters(shape: Architecture) -> int:
    """Weights of one decoder layer."""
    return sum(rows * columns for rows, columns in linears(shape)) + 3 * shape.hidden_size + 2 * key_width(shape)


def linears(shape: Architecture) -> list[tuple[int, int]]:
    """Input and output width of a layer's linear maps: queries, keys, values, output, gate, up, down."""
    hidden, keys, wide = shape.hidden_size, key_width(shape), shape.intermediate_size
    return [(hidden, hidden), (hidden, keys), (hidden, keys), (hidden, hidden), *[(hidden, wide)] * 2, (wide, hidden)]


def key_width(shape: Architecture) -> int:
    """Width of a layer's keys, and of its values."""
    return shape.hidden_size // shape.heads * shape.kv_heads


def trained_parameters(shape: Architecture, lora: Lora | None) -> int:
    """Weights that training changes: all, or the adapters of every linear map but the head."""
    if lora is None:
        return parameters(shape)
    return shape.layers * lora.rank * sum(rows + columns for rows, columns in linears(shape))


def memory(
    shape: Architecture, hardware: Hardware, *, rows: int, tokens: int, lora: Lora | None = None, copies: int = 1
) -> Memory:
    """Peak of a training step on `rows` sequences of `tokens` tokens at once.

    Args:
        copies: models held; those beyond the one that is trained are frozen (a reference model).
    """
    number = _number_bytes(hardware)
    trained, every = trained_parameters(shape, lora), parameters(shape)
    parts = hardware.processes if hardware.sharded else 1
    head_gradient = 0 if lora else FLOAT * shape.vocabulary * shape.hidden_size
    return Memory(
        weights=(FLOAT * trained + (number * every if lora else 0)) // parts,
        gradients=FLOAT * trained // parts,
        optimiser=2 * FLOAT * trained // parts,
        frozen=(copies - 1) * number * every // parts,
        working=_working(shape, hardware, trained, every, copies),
        activations=rows * _activations(shape, hardware, rows, tokens, lora),
        head=head_gradient + _head_tile(shape, hardware, rows * tokens),
    )


def micro_batch(
    shape: Architecture,
    hardware: Hardware,
    *,
    rows: int,
    tokens: int,
    lora: Lora | None,
    copies: int = 1,
    reserved: float = 0.0,
) -> int:
    """Sequences that one process works on at once: the largest divisor of `rows` that fits its device.

    Args:
        rows: sequences of one process in one optimiser step; a pair of DPO is one of twice the tokens.
        tokens: the longest sequence, prompt included.
        copies: models held, the trained one included.
        reserved: share of the device's memory that something else keeps meanwhile.

    Raises:
        ConfigError: not even one sequence fits.
    """
    room = (USABLE - reserved) * hardware.memory_gb * 1e9
    needs = {
        size: memory(shape, hardware, rows=size, tokens=tokens, lora=lora, copies=copies).total
        for size in range(1, rows + 1)
        if rows % size == 0
    }
    fitting = [size for size, need in needs.items() if need <= room]
    if not fitting:
        raise ConfigError(
            f"one sequence of {tokens} tokens needs {needs[1] / 1e9:.1f} GB of a device, but hardware.memory_gb = "
            f"{hardware.memory_gb:g} leaves {room / 1e9:.1f} GB; more processes with sharded: true, "
            "gradient_checkpointing: true, lora or fewer max_tokens help"
        )
    return max(fitting)


def _working(shape: Architecture, hardware: Hardware, trained: int, every: int, copies: int) -> int:
    """Weights at the computation's precision and gradients in exchange.

    FSDP gathers a layer while the next one is on its way, keeps the head, and holds a layer's whole gradients in fp32
    until they are shared out; TRL has it gather a reference model as a whole. Autocast casts every weight; DDP copies
    all gradients into buckets.
    """
    number = _number_bytes(hardware)
    if hardware.sharded:
        gathered = 2 * layer_parameters(shape) + shape.vocabulary * shape.hidden_size
        return number * (gathered + (every if copies > 1 else 0)) + FLOAT * layer_parameters(shape)
    buckets = FLOAT * trained if hardware.processes > 1 else 0
    return buckets + (number * every if hardware.precision == "bf16" else 0)


def _activations(shape: Architecture, hardware: Hardware, rows: int, tokens: int, lora: Lora | None) -> int:
    """Bytes of one sequence. Checkpointing keeps of each layer its input alone, the residual stream."""
    layer = _layer_activations(shape, hardware, rows, tokens, lora)
    stream = tokens * shape.hidden_size * _stream_bytes(hardware)
    last = tokens * shape.hidden_size * 4 * FLOAT  # final norm, the head's input and its gradient
    if hardware.gradient_checkpointing:
        return shape.layers * stream + layer + last
    return shape.layers * layer + last


def _layer_activations(shape: Architecture, hardware: Hardware, rows: int, tokens: int, lora: Lora | None) -> int:
    """Bytes of one sequence in one layer.

    Sequences of several lengths need a mask: attention then keeps one of tokens x tokens, and keys and values
    repeated for every head that shares them.
    """
    hidden, wide, number = shape.hidden_size, shape.intermediate_size, _number_bytes(hardware)
    keys = key_width(shape) if rows == 1 else hidden
    normalised = 0 if lora else _stream_bytes(hardware)  # only the gradient of a norm's own weights needs them
    norms = 2 * (FLOAT + normalised) * hidden
    attention = number * (2 * hidden + 2 * keys) + FLOAT * shape.heads
    feed_forward = 3 * number * wide
    mask = number * tokens if rows > 1 else 0
    return tokens * (norms + attention + feed_forward + _map_inputs(shape, hardware, lora) + mask)


def _map_inputs(shape: Architecture, hardware: Hardware, lora: Lora | None) -> int:
    """Bytes of one token that the gradients of a layer's linear maps need, but the attention's output.

    Maps share an input, unless autocast casts it for each of them or each adapter has a dropout of its own.
    """
    hidden, wide, number = shape.hidden_size, shape.intermediate_size, _number_bytes(hardware)
    if lora:
        dropout_mask = 1 if lora.dropout else 0
        return (number + dropout_mask) * (6 * hidden + wide) + number * len(linears(shape)) * lora.rank
    autocast = hardware.precision == "bf16" and not hardware.sharded
    return number * ((5 if autocast else 2) * hidden + wide)


def _head_tile(shape: Architecture, hardware: Hardware, tokens: int) -> int:
    rows = min(tokens, HEAD_TOKENS)
    copies = TORCH_TILES * FLOAT * min(shape.vocabulary, HEAD_VOCABULARY) if hardware.precision == "fp32" else 0
    return rows * (_number_bytes(hardware) * HEAD_VOCABULARY + copies)


def _number_bytes(hardware: Hardware) -> int:
    """Of one number in the computation."""
    return 2 if hardware.precision == "bf16" else FLOAT


def _stream_bytes(hardware: Hardware) -> int:
    """Of one number of the residual stream: autocast leaves it in fp32, FSDP's mixed precision does not."""
    return _number_bytes(hardware) if hardware.sharded else FLOAT
