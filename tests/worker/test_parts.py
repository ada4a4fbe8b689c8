"""Parts of the worker that need no denoiser."""

from __future__ import annotations

import copy
import threading
from typing import Any

import accelerate
import pytest
import torch

from app.worker.calls import Part, SharedValues, describe, run
from app.worker.limits import BatchPolicy, RowLimits, useful_rows
from app.worker.memory import is_device_broken, is_out_of_memory
from app.worker.outbox import Outbox
from app.worker.parking import VaeVersions
from app.worker.pixels import fetch, to_uint8
from app.worker.roles import Roles
from tests.checkpoints.parts import vae
from tests.worker.conftest import tied

ROLES = Roles(("x", "extra"), shared=("ids",), ignored=("generator",))


def network(**arguments: torch.Tensor) -> tuple[torch.Tensor]:
    return (arguments["x"] * arguments["timestep"].reshape(-1, 1).float(),)


def call(**arguments: object) -> object:
    return describe(network, dict(arguments), ROLES, SharedValues()).signature


X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ({}, {"timestep": torch.tensor([3])}, True),
        ({}, {"timestep": torch.tensor(3.5)}, True),
        ({}, {"x": torch.ones(4, 3)}, True),
        ({}, {"x": torch.ones(2, 4)}, False),
        ({}, {"x": X.double()}, False),
        ({}, {"nothing": None}, True),
        ({"ids": torch.arange(3)}, {"ids": torch.arange(3)}, True),
        ({"ids": torch.arange(3)}, {"ids": torch.arange(3) + 1}, False),
        ({"option": 1}, {"option": 2}, False),
        ({"option": {"a": [1]}}, {"option": {"a": [1]}}, True),
        ({"extra": {"a": X}}, {"extra": {"a": X + 1}}, True),
        ({"generator": object()}, {"generator": object()}, True),
        ({"unknown": X}, {"unknown": X}, False),
        ({"extra": torch.ones(1, 3)}, {"extra": torch.ones(1, 3)}, False),
    ],
)
def test_which_calls_are_alike(one: object, other: object, is_alike: bool) -> None:
    default = {"x": X, "timestep": torch.tensor(2)}
    assert (call(**default | one) == call(**default | other)) is is_alike


def test_rows_keep_their_own_timestep() -> None:
    shared = SharedValues()
    first = describe(network, {"x": X, "timestep": torch.tensor(2)}, ROLES, shared)
    second = describe(network, {"x": X[:1], "timestep": torch.tensor([5.0])}, ROLES, shared)
    parts = [Part(first, 0, 2), Part(second, 0, 1)]
    results = run(parts, padded=8)
    assert results[parts[0]][0].tolist() == [[2.0] * 3] * 2
    assert results[parts[1]][0].tolist() == [[5.0] * 3]


def test_rows_by_memory_by_what_pays_and_by_what_failed() -> None:
    limits = RowLimits(BatchPolicy(max_rows=10))
    assert limits.most(100, "kind") == 10
    limits.bytes_per_element, limits.free_bytes = 5.0, 4000
    assert limits.most(100, "kind") == 8
    assert limits.most(10_000, "kind") == 1
    limits.did_not_fit(6, "kind")
    assert limits.most(100, "kind") == 3
    assert limits.most(100, "another kind") == 8
    assert limits.most(100, "a decoding", is_step=False) == 10
    assert useful_rows(100, 1000) == 10
    assert useful_rows(10_000, 1000) == 1


def test_buckets() -> None:
    limits = RowLimits(BatchPolicy(buckets=(1, 2, 4)))
    assert [limits.padded(rows) for rows in (1, 2, 3, 4)] == [1, 2, 4, 4]
    assert limits.most(1, "kind") == 4
    assert RowLimits(BatchPolicy()).padded(3) is None


def test_filling_up_stays_within_what_was_set_and_what_fits() -> None:
    limits = RowLimits(BatchPolicy(max_rows=7, buckets=(1, 2, 4, 6, 8)))
    assert limits.most(1, "kind") == 6
    limits.did_not_fit(6, "kind")
    assert limits.most(1, "kind") == 2
    assert limits.most(1, "a decoding", is_step=False) == 7


def test_a_vae_of_another_type_is_made_once_and_leaves_the_first_alone() -> None:
    half = vae().half()
    before = copy.deepcopy(half.state_dict())
    versions = VaeVersions(half)
    single = versions.of_dtype(torch.float32)
    assert single is versions.of_dtype(torch.float32)
    assert single.module.dtype == torch.float32
    assert versions.of_dtype(torch.float16).module is half
    for name, weights in half.state_dict().items():
        assert torch.equal(weights, before[name])


def offloaded(model: Any) -> Any:
    """As OFFLOAD=sequential leaves it."""
    return accelerate.cpu_offload(model, torch.device("cpu"))


@pytest.mark.parametrize("prepare", [tied, offloaded])
def test_a_vae_of_another_type_computes_in_it(prepare: Any) -> None:
    latents = torch.randn(1, 4, 8, 8)
    half = vae().half().eval()
    half.enable_tiling()
    expected = copy.deepcopy(half).float().decode(latents)[0]
    single = VaeVersions(prepare(half)).of_dtype(torch.float32).module
    assert torch.equal(single.decode(latents)[0], expected)
    assert (single.use_slicing, single.use_tiling, single.training) == (False, True, False)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17.98 GB, other"), True),
        (RuntimeError("Invalid buffer size: 31.04 GiB"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("HIP error: out of memory"), True),
        (RuntimeError("CUDA driver error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublas"), True),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) is is_memory
    assert not is_device_broken(error)


@pytest.mark.parametrize(
    ("message", "is_broken"),
    [
        ("CUDA error: device-side assert triggered", True),
        ("CUDA error: an illegal memory access was encountered", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", True),
        ("CUDA error: invalid configuration argument", False),
        ("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`", False),
        ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_what_only_a_new_process_mends(message: str, is_broken: bool) -> None:
    assert is_device_broken(RuntimeError(message)) is is_broken
    assert not is_out_of_memory(RuntimeError(message))


def test_pixels_are_rounded() -> None:
    images = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.1, 0.498]).expand(1, 3, 1, 6)
    pixels = to_uint8(images)
    assert pixels.shape == (1, 1, 6, 3)
    assert pixels[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 127]
    assert torch.equal(fetch(pixels).wait(), pixels)


def test_errands_are_done_in_order_and_survive_a_failure() -> None:
    done: list[int] = []
    gate = threading.Event()
    outbox = Outbox()
    outbox.put(lambda: done.append(1) if gate.wait(30) else None)
    outbox.put(lambda: [][0])
    outbox.put(lambda: done.append(2))
    assert done == []
    gate.set()
    outbox.flush(30)
    assert done == [1, 2]


def test_the_outbox_prepares_its_own_thread() -> None:
    threads: list[threading.Thread] = []
    outbox = Outbox(lambda: threads.append(threading.current_thread()))
    outbox.put(lambda: threads.append(threading.current_thread()))
    outbox.flush(30)
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
