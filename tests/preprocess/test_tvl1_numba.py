"""TV-L1 as machine code: the flow of the plain form, whatever the number of threads and processes."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from htnet.core import native
from htnet.core import threads as call_threads
from htnet.core.errors import FrameError, InputError, MissingExtraError
from htnet.core.native import numba_obstacle
from htnet.preprocess.flow import tvl1_numba, tvl1_routing, tvl1_solver
from htnet.preprocess.flow.tvl1 import TVL1Parameters, tvl1_flow
from htnet.preprocess.flow.tvl1_routing import explain_tvl1
from tests.preprocess.faces import eight_bit, gray_face, moved, smooth_field

needs_numba = pytest.mark.skipif(bool(numba_obstacle()), reason=f"needs htnet[fast]: {numba_obstacle()}")
#: Mean and largest difference from the plain form, px; single pixels of the plain form itself move by as much between
#: float32 and float64.
MEAN, MOST = 2e-4, 5e-3


def pairs(count=3, shape=(61, 74), seed=0):
    """Onsets and apexes whose pairs stop after different iterations."""
    rng = np.random.default_rng(seed)
    face = gray_face(1)[60 : 60 + shape[0], 70 : 70 + shape[1]]
    fields = [smooth_field(rng, length, shape, 9) for length in np.linspace(0.1, 2, count)]
    return np.stack([eight_bit(face)] * count), np.stack([eight_bit(moved(face, field)) for field in fields])


def plain(onset, apex, p):
    """Flow of the plain form and the iterations of each of its warps."""
    counts = []

    def relax(flow, dual, data, p):
        before, number = tvl1_solver._iterate, [0]

        def counted(*arguments):
            number[0] += 1
            return before(*arguments)

        tvl1_solver._iterate = counted
        try:
            return tvl1_solver.relax(flow, dual, data, p)
        finally:
            tvl1_solver._iterate = before
            counts.append(number[0])

    frames = (torch.from_numpy(frame.astype(np.float32))[None, None] for frame in (onset, apex))
    return tvl1_solver.solve(*frames, p, tvl1_solver.Steps(relax=relax)).numpy(), counts


SETTINGS = (
    {},
    {"nscales": 1, "warps": 2, "tau": 0.1, "lambda_": 0.05, "theta": 0.5},
    {"zfactor": 0.8, "warps": 2, "presmoothing": 0},
    {"median": 0, "illumination": 0, "epsilon": 0, "iterations": 7},
    {"presmoothing": 3.0, "warps": 1, "zfactor": 0.3},
)


@needs_numba
@pytest.mark.parametrize("shape", [(61, 74), (16, 16), (17, 90), (130, 66)])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_flow_and_iterations_are_those_of_the_plain_form(settings, shape):
    p = TVL1Parameters(**settings)
    for onset, apex in zip(*pairs(2, shape), strict=True):
        expected, counts = plain(onset, apex, p)
        frames = (frame.astype(np.float32)[None, None] for frame in (onset, apex))
        flow, iterations = tvl1_numba.solve_counted(*frames, p)
        difference = np.hypot(*(flow - expected)[0])
        assert difference.mean() < MEAN
        assert difference.max() < MOST
        assert iterations[0].ravel().tolist() == counts


@needs_numba
@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (17, 200)])
def test_constant_frames_give_zero(levels):
    onset, apex = (np.full((70, 61), level, np.uint8) for level in levels)
    assert not tvl1_flow(onset, apex, backend="numba").any()


@needs_numba
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(bad):
    frame = np.full((20, 20), 0.5)
    frame[3, 4] = bad
    with pytest.raises(FrameError, match="NaN or infinite"):
        tvl1_flow(frame, np.full((20, 20), 0.5), backend="numba")


@pytest.fixture
def counted_threads(monkeypatch):
    """Threads that compute at the same time: the most of all, and how many are waited for, up to half a minute."""
    from htnet.core.native import native_function

    at_once, most, came, patient = [0], [0, 0], threading.Condition(), [True]
    real = native_function(*tvl1_numba._LOOPS)

    def counted(*arguments):
        with came:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            came.notify_all()
            if patient[0]:
                patient[0] = came.wait_for(lambda: most[0] >= most[1], 30)
        threading.Event().wait(0.01)
        try:
            return real(*arguments)
        finally:
            with came:
                at_once[0] -= 1

    monkeypatch.setattr(tvl1_numba, "native_function", lambda *a, **k: counted)
    return most


@needs_numba
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_bit_depends_on_threads_or_batch(threads, counted_threads):
    onset, apex = pairs(7)
    alone = torch.stack([tvl1_flow(a, b, backend="numba") for a, b in zip(onset, apex, strict=True)])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    counted_threads[1] = threads
    try:
        assert torch.equal(tvl1_flow(onset, apex, backend="numba"), alone)
        assert torch.equal(tvl1_flow(onset[::-1].copy(), apex[::-1].copy(), backend="numba"), alone.flip(0))
    finally:
        torch.set_num_threads(before)
    assert counted_threads[0] == threads


@needs_numba
def test_batches_of_a_thread_pool_share_the_threads(counted_threads, monkeypatch):
    """As in a web service: 4 requests that come together, and 3 threads for all."""
    monkeypatch.setattr(call_threads, "usable_threads", lambda: 3)
    onset, apex = pairs(5, (20, 24))
    expected = tvl1_flow(onset, apex, backend="numba")
    counted_threads[0] = 0
    gate = threading.Barrier(4)

    def request(_):
        gate.wait()
        return tvl1_flow(onset, apex, backend="numba")

    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(flow, expected) for flow in pool.map(request, range(4)))
    # Each caller computes itself; helpers are only started while threads are free.
    assert counted_threads[0] <= 6
    assert call_threads._busy == 0


@needs_numba
def test_errors_of_helpers_are_raised_and_their_places_freed(monkeypatch):
    def broken(*arguments):
        raise MemoryError

    monkeypatch.setattr(tvl1_numba, "native_function", lambda *a, **k: broken)
    monkeypatch.setattr(call_threads, "usable_threads", lambda: 3)
    with pytest.raises(MemoryError):
        tvl1_flow(*pairs(4, (20, 20)), backend="numba")
    assert call_threads._busy == 0


@needs_numba
def test_without_more_threads_of_the_system_the_flow_is_the_same(monkeypatch):
    """As in a container with a limit of processes."""
    onset, apex = pairs(4, (20, 24))
    expected = tvl1_flow(onset, apex, backend="numba")
    started = []

    class Limited(threading.Thread):
        def start(self):
            started.append(self)
            if len(started) > 1:
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(tvl1_numba.threading, "Thread", Limited)
    monkeypatch.setattr(call_threads, "usable_threads", lambda: 4)
    assert torch.equal(tvl1_flow(onset, apex, backend="numba"), expected)
    assert len(started) == 3
    assert call_threads._busy == 0


@needs_numba
def test_helpers_stop_when_the_call_is_interrupted(monkeypatch):
    """Ctrl-C while the second helper starts: the first one must not go on with the whole batch."""
    calls, helpers = [], []

    class Interrupted(threading.Thread):
        def start(self):
            helpers.append(self)
            if len(helpers) > 1:
                raise KeyboardInterrupt
            super().start()

    def slow(*arguments):
        calls.append(1)
        threading.Event().wait(0.1)  # all calls take 6 s
        return 0

    monkeypatch.setattr(tvl1_numba.threading, "Thread", Interrupted)
    monkeypatch.setattr(tvl1_numba, "native_function", lambda *a, **k: slow)
    monkeypatch.setattr(call_threads, "usable_threads", lambda: 4)
    frames = np.zeros((60, 16, 16), np.uint8)
    with pytest.raises(KeyboardInterrupt):
        tvl1_flow(frames, frames, backend="numba")
    helpers[0].join()
    assert len(calls) < 60
    assert call_threads._busy == 0


def test_an_interrupt_while_places_are_taken_leaves_none_taken(monkeypatch):
    class Interrupting:
        exits = 0

        def __enter__(self):
            pass

        def __exit__(self, *error):
            self.exits += 1
            if self.exits == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(call_threads, "_busy_lock", Interrupting())
    with pytest.raises(KeyboardInterrupt), call_threads.spare_threads(2):
        pass
    assert call_threads._busy == 0


@needs_numba
def test_no_gradient_is_kept():
    face = torch.rand(20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for backend in ("numba", "eager"):
        assert not tvl1_flow(face, face, backend=backend).requires_grad


@needs_numba
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3), (15, 16), (16, 17), (65, 127)])
@pytest.mark.parametrize("settings", [*SETTINGS, {"presmoothing": 20, "zfactor": 0.95, "nscales": 32, "warps": 1}])
def test_nothing_is_written_beside_the_memory_nor_read_before_it_was_written(shape, settings):
    """Also at sizes that `tvl1_flow` refuses."""
    solve = tvl1_numba.native_function(*tvl1_numba._LOOPS)
    plan = tvl1_numba._Plan(*shape, TVL1Parameters(**{"iterations": 20, **settings}))
    onset, apex = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    flows = []
    for before in (np.nan, 1e30):
        scratch, flow = np.full(plan.length, before, np.float32), np.zeros((2, *shape), np.float32)
        places = np.full(plan.row, 2**60)
        buffers = [onset, apex, flow, scratch, places, plan.sizes, plan.numbers, plan.counts.copy()]
        guarded = [np.full(buffer.nbytes + 1024, 0xA5, np.uint8) for buffer in buffers]
        for memory, buffer in zip(guarded, buffers, strict=True):
            memory[512:-512] = np.frombuffer(buffer.tobytes(), np.uint8)
        solve(*[memory.ctypes.data + 512 for memory in guarded])
        assert all((memory[:512] == 0xA5).all() and (memory[-512:] == 0xA5).all() for memory in guarded)
        assert all((guarded[i][512:-512].tobytes() == buffers[i].tobytes()) for i in (0, 1, 5, 6))
        flows.append(guarded[2].tobytes())
    if min(shape) >= 16:  # smaller frames have cells without a pixel, whose median is none
        assert flows[0] == flows[1]


def flow_and_threads(seed):
    """In another process: the flow's bytes, and how many threads a batch may use there."""
    from htnet.core.parallel import usable_threads

    onset, apex = pairs(3, (20, 24), seed)
    return tvl1_flow(onset, apex, backend="numba").numpy().tobytes(), usable_threads()


def _set_threads(number):
    torch.set_num_threads(number)


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_a_pool_uses_one_thread(method):
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    expected, _ = flow_and_threads(1)
    # A forked process may only compute with one thread of PyTorch; a spawned one has as many as there are cores.
    with get_context(method).Pool(1, _set_threads, (1 if method == "fork" else 4,)) as pool:
        assert pool.map(flow_and_threads, [1, 1]) == [(expected, 1)] * 2


def _shared_threads(shared, number):
    return flow_and_threads(number)


@needs_numba
@pytest.mark.slow
def test_workers_of_htnet_use_the_threads_that_they_were_given(monkeypatch):
    from htnet.core import parallel

    monkeypatch.setattr(parallel, "cores", lambda: 4)
    expected, _ = flow_and_threads(1)
    found = [answer for _, answer in parallel.run_tasks(_shared_threads, None, [(1,), (1,)], workers=2)]
    assert found == [(expected, 2)] * 2


@needs_numba
def test_a_fork_while_others_compute_starts_with_free_places():
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    with call_threads.spare_threads(0):
        child = os.fork()
        if child == 0:
            os._exit(call_threads._busy)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_choice_and_its_reasons(monkeypatch):
    monkeypatch.setattr(tvl1_routing, "numba_obstacle", lambda: "")
    monkeypatch.setattr(native, "TRIED", ((sys.platform, native.platform.machine()),))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(tvl1_routing, "_TRITON", True)
    monkeypatch.setattr(tvl1_routing, "which", lambda name: None)
    choice = explain_tvl1()
    assert (choice.backend, choice.device) == ("numba", "cpu")
    assert str(choice).splitlines() == [
        "numba: TV-L1 of frames on cpu",
        "  not triton: it runs on frames on a CUDA device, not cpu",
        "  not compile: it needs a C++ compiler (g++, clang++, or the one that CXX names)",
        "  not eager: 'numba' comes first",
    ]
    assert explain_tvl1("cuda:1").backend == "triton"
    assert dict(explain_tvl1("cpu", "eager").refused)["numba"] == "'eager' was requested"
    assert dict(explain_tvl1("cuda").refused)["numba"] == "it runs on frames on the CPU, not cuda"
    monkeypatch.setattr(native, "TRIED", ())
    assert explain_tvl1().backend == "eager"
    assert "has not been tested on" in dict(explain_tvl1().refused)["numba"]
    assert explain_tvl1("cpu", "numba").backend == "numba"
    monkeypatch.setattr(tvl1_routing, "numba_obstacle", lambda: "numba is not installed")
    assert explain_tvl1().backend == "eager"
    with pytest.raises(MissingExtraError, match=r"numba is not installed.*pip install 'htnet\[fast\]'"):
        explain_tvl1("cpu", "numba")
    monkeypatch.setattr(tvl1_routing, "numba_obstacle", lambda: "NUMBA_DISABLE_JIT is set")
    with pytest.raises(InputError, match=r"NUMBA_DISABLE_JIT is set\. Unset it, or use 'auto'"):
        explain_tvl1("cpu", "numba")
    with pytest.raises(InputError, match="frames on the CPU, not cuda"):
        explain_tvl1("cuda", "numba")
    with pytest.raises(InputError, match="'nunba'.*Did you mean 'numba'"):
        explain_tvl1("cpu", "nunba")


@pytest.mark.slow
def test_without_numba_flow_is_computed_by_pytorch(warm_python):
    """In a process that cannot import it."""
    code = """
import sys
sys.modules.update(numba=None, llvmlite=None)
import numpy as np
from htnet.preprocess import explain_tvl1, tvl1_flow
a = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
assert explain_tvl1().backend == "eager", explain_tvl1()
assert (tvl1_flow(a, np.roll(a, 1, 1)) == tvl1_flow(a, np.roll(a, 1, 1), backend="eager")).all()
"""
    done = warm_python.run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
