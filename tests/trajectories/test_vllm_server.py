"""A real vLLM server on a CPU (`make test-vllm`), beside the engine in this process."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from vllm_models import MIXED, STOPS, model, sampling, save, torch_sampler, vllm_engine

from raml.config import EngineSettings
from raml.trajectories.engine import Origin
from raml.trajectories.server_engine import ServerEngine

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(280)]
PATIENCE = 200  # seconds until a server is up
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(model("qwen2"), tmp_path_factory.mktemp("models") / "qwen2")


@pytest.fixture(scope="module")
def url(folder):
    """Where a server of the model listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry",  # `vllm serve` asks for the package `vllm`
        "--model", str(folder), "--host", "127.0.0.1", "--port", str(port),
        "--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill", "--generation-config", "vllm",
    ]  # fmt: skip
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=os.environ | ENVIRONMENT, stdout=output, stderr=output, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(server, f"{address}/health", log)
        yield address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def wait_for(server, address, log):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def engine(url, folder, **changes):
    return ServerEngine(
        folder, sampling(**changes), STOPS, EngineSettings(name="server", url=url, dtype="float32", concurrency=4)
    )


def test_greedy_equals_the_torch_sampler(url, folder):
    greedy = engine(url, folder, temperature=0.0)
    assert greedy.origin == Origin("server", "0.31.0", "float32")
    assert greedy.sample(MIXED, 0) == torch_sampler(model("qwen2"), greedy.sampling).sample(MIXED, 0)


def test_samples_are_those_of_the_engine_in_this_process(url, folder):
    expected = vllm_engine(folder, sampling()).sample(MIXED, 5)
    sampled = engine(url, folder)
    assert sampled.sample(MIXED, 5) == expected
    assert sampled.sample(MIXED[::-2], 5) == expected[::-2]
    assert sampled.sample(MIXED, 6) != expected
