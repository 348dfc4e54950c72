# SPDX-License-Identifier: Apache-2.0
"""PyTorch's times for the shapes of bench/bench_cuda.c on one NVIDIA GPU; run by tools/gpu-run.

`call`: one operation and a device synchronise, seen from the host. `each`: the GPU's time of one operation out of many in a
CUDA graph. Medians, in microseconds. f32 products are full f32 unless the name says tf32.
"""
import statistics
import time

import torch
import torch.nn.functional as F

torch.backends.cuda.matmul.allow_tf32 = False
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
NAMES = {F32: "f32", F16: "f16", BF16: "bf16"}


def call_us(run, count):
    for _ in range(10):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times) / 1e3


def each_us(run, operations, count):
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(operations):
            run()
    times = []
    for i in range(count + 3):
        begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        if i >= 3:
            times.append(begin.elapsed_time(end) * 1e3 / operations)
    return statistics.median(times)


def row(name, run, flops=0.0, moved=0.0):
    estimate = flops / 4e8 + moved / 2.5e6
    small = estimate < 20
    each = each_us(run, 64 if small else 8 if estimate < 500 else 2, 30 if small else 10)
    call = call_us(run, 100 if small else 10)
    text = f"{name:<34s} call {call:9.2f}  each {each:9.3f} us"
    if flops:
        text += f"  {flops / each / 1e6:8.1f} TFLOP/s"
    if moved:
        text += f"  {moved / each / 1e6:6.3f} TB/s"
    print(text, flush=True)


def rand(*shape, dtype):
    return (torch.rand(*shape, device="cuda") * 2 - 1).to(dtype)


def rows_operators():
    for dtype in (F32, BF16):
        size = dtype.itemsize
        for m, n in ((128, 1024), (4096, 4096), (16384, 8192), (16384, 1024), (16384, 16384), (8192, 32768), (1024, 131072)):
            x, w = rand(m, n, dtype=dtype), rand(n, dtype=dtype)
            row(f"softmax {NAMES[dtype]} {m}x{n}", lambda: torch.softmax(x, -1), moved=2 * size * m * n)
            row(f"rms_norm {NAMES[dtype]} {m}x{n}", lambda: F.rms_norm(x, (n,), w, 1e-5), moved=2 * size * m * n)
            if m == 128:
                row(f"layer_norm {NAMES[dtype]} {m}x{n}", lambda: F.layer_norm(x, (n,), w, None, 1e-5), moved=2 * size * m * n)


def products():
    for dtype in (F32, BF16):
        for m, d, r in ((64, 512, 8), (64, 1024, 8), (64, 2048, 8), (64, 1024, 16), (64, 1024, 64), (64, 1024, 256), (64, 4096, 64),
                        (512, 1024, 16), (128, 4096, 64), (512, 4096, 64), (4096, 4096, 64)):
            x, a, b = rand(m, d, dtype=dtype), rand(d, r, dtype=dtype), rand(r, d, dtype=dtype)
            row(f"lora {NAMES[dtype]} {m}x{d} r{r}", lambda: torch.mm(torch.mm(x, a), b).mul_(2.0))
        for n, k in ((4096, 4096), (14336, 4096), (4096, 14336)):
            x, w = rand(1, k, dtype=dtype), rand(n, k, dtype=dtype)
            out = torch.empty(1, n, device="cuda", dtype=dtype)
            row(f"matvec {NAMES[dtype]} {n}x{k}", lambda: torch.mm(x, w.t(), out=out), moved=dtype.itemsize * n * k)
    for dtype in (F32, F16, BF16):
        n = 64
        while n <= (4096 if dtype == F32 else 8192):
            a, b = rand(n, n, dtype=dtype), rand(n, n, dtype=dtype)
            out = torch.empty_like(a)
            row(f"matmul {NAMES[dtype]} {n}x{n}x{n}", lambda: torch.mm(a, b, out=out), flops=2.0 * n**3)
            n *= 2
    for m in (1, 8, 16, 64, 128):
        for n in (4096, 14336):
            x, w = rand(m, 4096, dtype=BF16), rand(n, 4096, dtype=BF16)
            out = torch.empty(m, n, device="cuda", dtype=BF16)
            row(f"matmul bf16 {m}x{n}x4096 T", lambda: torch.mm(x, w.t(), out=out), flops=2.0 * m * n * 4096,
                moved=2.0 * n * 4096 if m <= 16 else 0.0)
    torch.backends.cuda.matmul.allow_tf32 = True
    for n in (512, 1024, 2048, 4096):
        a, b = rand(n, n, dtype=F32), rand(n, n, dtype=F32)
        out = torch.empty_like(a)
        row(f"matmul f32/reduced {n}x{n}x{n}", lambda: torch.mm(a, b, out=out), flops=2.0 * n**3)


print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
rows_operators()
products()
