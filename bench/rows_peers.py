#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows, matrix-vector products and adapters beside oneDNN, PyTorch and MLX on the CPU, in one process and in turns.

    bench/peers-setup ~/.cache/anymps-peers                      # oneDNN; PyTorch and MLX: pip install torch 'mlx[cpu]'
    cmake --preset release && cmake --build --preset release --target row_bench
    export ANYMPS_PEERS=~/.cache/anymps-peers LD_LIBRARY_PATH=~/.cache/anymps-peers/lib
    export OCL_ICD_FILENAMES=$ANYMPS_PEERS/lib/libintelocl.so    # oneDNN 3.13 is built on SYCL; 3.2 on OpenMP
    python bench/rows_peers.py build/release/bench/librow_bench.so [--threads N] [--ms MS] [--only TEXT] [--dtype f32,bf16,f16]

All libraries work on the same operands with the same number of threads; MLX, which chooses its threads itself and has no
view of foreign memory, gets copies, and is left out with one thread. Ours is a recorded command buffer, oneDNN its
primitives in a loop in C, PyTorch its functions with `out` where they have one. Medians in microseconds; `ratio` is the best
peer's time over ours. `of roof`: the time of copying the same bytes (matrix-vector: of reading the matrix once), measured in
the same turns, over ours; it says something out of cache only.
"""
import argparse
import ctypes
import os
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("library")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--ms", type=float, default=60.0, help="time to spend on one library at one case")
parser.add_argument("--only", default="")
parser.add_argument("--dtype", default="f32,bf16,f16")
options = parser.parse_args()
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(options.threads)
os.environ.update(KMP_BLOCKTIME="0", OMP_WAIT_POLICY="passive", MKL_DYNAMIC="FALSE")
if options.threads == 1:
    os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[-1]])  # oneDNN's threads heed only that

try:
    import torch
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
except ImportError:
    torch = None
try:
    import mlx.core as mx
    mx.set_default_device(mx.cpu)
except ImportError:
    mx = None

lib = ctypes.CDLL(options.library)
lib.row_case_open.restype = ctypes.c_void_p
lib.row_case_open.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p,
                              ctypes.c_size_t, ctypes.c_size_t]
lib.row_case_operand.restype = ctypes.c_void_p
lib.row_case_operand.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
lib.row_case_roof.restype = ctypes.c_uint64
for function in (lib.row_case_run, lib.row_case_close, lib.row_case_roof):
    function.argtypes = [ctypes.c_void_p]
for function in (lib.row_onednn_open, lib.row_onednn_run):
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

SHAPES = [(128, 1024), (1024, 1024), (4096, 4096)]
CASES = [(op, rows, columns, 0) for op in ("softmax", "log_softmax", "rms_norm", "layer_norm", "gelu") for rows, columns in SHAPES]
CASES += [("lora", 64, columns, rank) for rank in (8, 16, 64) for columns in (512, 1024, 2048)]
CASES += [(op, rows, columns, 0) for op in ("matvec", "matvec_t") for rows, columns in ((4096, 4096), (4096, 14336))]


def shapes_of(op, rows, columns, rank):
    """Shapes of the operands of row_case.h."""
    if op == "lora":
        return [(rows, columns), (columns, rank), (rank, columns), (rows, columns)]
    if op == "matvec":
        return [(rows, columns), (columns,), None, (rows,)]
    if op == "matvec_t":
        return [(rows, columns), (rows,), None, (columns,)]
    return [(rows, columns), (columns,) if "norm" in op else None, (columns,) if op == "layer_norm" else None, (rows, columns)]


def torch_operands(case, shapes, dtype):
    kinds = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    found = []
    for index, shape in enumerate(shapes):
        at = lib.row_case_operand(case, index)
        if shape is None or not at:
            found.append(None)
            continue
        count = 1
        for side in shape:
            count *= side
        memory = (ctypes.c_char * (count * (4 if dtype == "f32" else 2))).from_address(at)
        found.append(torch.frombuffer(memory, dtype=kinds[dtype], count=count).reshape(shape))
    return found


def torch_call(op, columns, x):
    f = torch.nn.functional
    if op == "softmax":
        return lambda: torch.softmax(x[0], -1, out=x[3])
    if op == "log_softmax":
        return lambda: torch.log_softmax(x[0], -1, out=x[3])
    if op == "rms_norm":
        return lambda: f.rms_norm(x[0], (columns,), x[1], 1e-5)
    if op == "layer_norm":
        outs = [x[3], *[torch.empty(x[0].shape[0], 1, dtype=x[0].dtype) for _ in range(2)]]
        return lambda: torch.ops.aten.native_layer_norm.out(x[0], (columns,), x[1], x[2], 1e-5, out0=outs[0], out1=outs[1], out2=outs[2])
    if op == "gelu":
        return lambda: torch._C._nn.gelu(x[0], out=x[3])
    if op == "lora":
        return lambda: torch.mm(torch.mm(x[0], x[1]), x[2], out=x[3])
    return lambda: torch.mv(x[0].T if op == "matvec_t" else x[0], x[1], out=x[3])


def mlx_call(op, x):
    if op == "softmax":
        return lambda: mx.softmax(x[0], axis=-1)
    if op == "rms_norm":
        return lambda: mx.fast.rms_norm(x[0], x[1], 1e-5)
    if op == "layer_norm":
        return lambda: mx.fast.layer_norm(x[0], x[1], x[2], 1e-5)
    if op == "lora":
        return lambda: (x[0] @ x[1]) @ x[2]
    if op == "matvec":
        return lambda: x[0] @ x[1]
    return None


def repeat(call, inner):
    def run():
        for _ in range(inner):
            call()
    return run


def repeat_mlx(call, inner):
    def run():
        for _ in range(inner):
            mx.eval(call())
    return run


def libraries(case, op, rows, columns, rank, dtype, inner):
    found = {"ours": lambda: lib.row_case_run(case), "roof": lambda: lib.row_case_roof(case)}
    if op != "gelu" and lib.row_onednn_open(case, 1) == 0:
        found["oneDNN 3.2"] = lambda: lib.row_onednn_run(case, 1)
    if op != "gelu" and lib.row_onednn_open(case, 0) == 0:
        found["3.13"] = lambda: lib.row_onednn_run(case, 0)
    x = None
    if torch is not None:
        x = torch_operands(case, shapes_of(op, rows, columns, rank), dtype)
        found["PyTorch"] = repeat(torch_call(op, columns, x), inner)
    if mx is not None and x is not None and options.threads > 1:
        kinds = {"f32": mx.float32, "bf16": mx.bfloat16, "f16": mx.float16}
        call = mlx_call(op, [None if t is None else mx.array(t.float().numpy()).astype(kinds[dtype]) for t in x])
        if call is not None:
            found["MLX"] = repeat_mlx(call, inner)
    return found


def measure(op, rows, columns, rank, dtype):
    inner = max(1, int(3e6 / (rows * columns * max(1, rank))))
    case = lib.row_case_open(op.encode(), rows, columns, rank, dtype.encode(), options.threads, inner)
    assert case
    calls = libraries(case, op, rows, columns, rank, dtype, inner)
    times = {name: [] for name in calls}
    longest = 0.0
    for call in calls.values():
        call()
        begin = time.perf_counter()
        call()
        longest = max(longest, time.perf_counter() - begin)
    order = list(calls.items())
    for turn in range(int(max(5, min(41, options.ms * 1e-3 / longest)))):
        # Each library follows each other one: what the one before left in the caches favours nobody.
        for name, call in (order[turn % len(order):] + order[:turn % len(order)])[::1 if turn % 2 else -1]:
            begin = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - begin) / inner * 1e6)
    lib.row_case_close(case)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    names = ["oneDNN 3.2", "3.13", "PyTorch", "MLX"]
    print(f"{options.threads} threads; microseconds, median" + (f"; torch {torch.__version__}" if torch else ""))
    print(f"{'case':<30}" + "".join(f"{name:>11}" for name in ["ours", *names, "ratio", "roof", "of roof", "GB/s"]))
    for op, rows, columns, rank in CASES:
        for dtype in options.dtype.split(","):
            text = f"{op} {rows}x{columns}" + (f" r{rank}" if rank else "") + f" {dtype}"
            if options.only not in text:
                continue
            t = measure(op, rows, columns, rank, dtype)
            ours = t["ours"]
            peers = [t[name] for name in names if name in t]
            bytes_moved = rows * columns * (4 if dtype == "f32" else 2) * (1 if op.startswith("matvec") else 2)
            cells = [f"{ours:.2f}", *[f"{t[name]:.2f}" if name in t else "" for name in names],
                     f"{min(peers) / ours:.3f}" if peers else "", f"{t['roof']:.2f}", f"{t['roof'] / ours:.3f}",
                     f"{bytes_moved / ours * 1e-3:.1f}"]
            print(f"{text:<30}" + "".join(f"{cell:>11}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
