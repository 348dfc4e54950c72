# SPDX-License-Identifier: Apache-2.0
"""PyTorch tensors on an NVIDIA GPU through DLPack into libanymps by ctypes: values, addresses, streams.

    torch_interop.py BUILD_FOLDER      (holds src/libanymps.so; exit 1 and a line per failure)
"""
import ctypes
import pathlib
import sys

import torch

lib = ctypes.CDLL(str(next(pathlib.Path(sys.argv[1]).rglob("libanymps.so"))))
P = ctypes.c_void_p
failures = 0


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("operation", ctypes.c_char * 32)]


def check(good, what):
    global failures
    if not good:
        failures += 1
        print("FAIL:", what)


def must(status, what):
    check(status == 0, f"{what}: status {status}")


class DeviceDesc(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("id", ctypes.c_char_p), ("threads", ctypes.c_size_t), ("isa", ctypes.c_char_p)]


class SoftmaxDesc(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("rows", ctypes.c_size_t), ("columns", ctypes.c_size_t),
                ("scale", ctypes.c_double), ("dtype", ctypes.c_int), ("options", ctypes.c_uint32), ("algorithm", ctypes.c_int)]


for name in ("anymps_queue_native", "anymps_device_native", "anymps_matrix_buffer", "anymps_buffer_native", "anymps_buffer_contents"):
    getattr(lib, name).restype = P
    getattr(lib, name).argtypes = [P]
for name in ("anymps_matrix_release", "anymps_queue_release", "anymps_device_release", "anymps_command_buffer_release", "anymps_kernel_release"):
    getattr(lib, name).argtypes = [P]
    getattr(lib, name).restype = None

ALL = ctypes.c_size_t(-1).value
F32 = 0x10000020
get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
get_pointer.restype, get_pointer.argtypes = P, [ctypes.py_object, ctypes.c_char_p]
set_name = ctypes.pythonapi.PyCapsule_SetName
set_name.argtypes = [ctypes.py_object, ctypes.c_char_p]


def take(device, tensor, stream):
    """The tensor as a matrix over the same memory; `stream` is the consumer's, as DLPack wants it."""
    capsule = tensor.__dlpack__(stream=stream)
    matrix, transposed = P(), ctypes.c_bool()
    must(lib.anymps_matrix_from_dlpack(device, P(get_pointer(capsule, b"dltensor")), ctypes.byref(matrix), ctypes.byref(transposed)), "from_dlpack")
    set_name(capsule, b"used_dltensor")
    return matrix, transposed.value


def run():
    device = P()
    desc = DeviceDesc(ctypes.sizeof(DeviceDesc), b"cuda", 0, None)
    must(lib.anymps_device_open(ctypes.byref(desc), ctypes.byref(device)), "device_open")
    side = torch.cuda.Stream()
    queue, commands, kernel = P(), P(), P()
    must(lib.anymps_queue_create_native(device, P(side.cuda_stream), ctypes.byref(queue)), "queue_create_native")
    check(lib.anymps_queue_native(queue) == side.cuda_stream, "the queue runs in PyTorch's stream")

    # matmul of three tensors, one of them a transposed view
    a, b, out = torch.randn(96, 64, device="cuda"), torch.randn(64, 80, device="cuda"), torch.zeros(96, 80, device="cuda")
    tensors = [take(device, t, side.cuda_stream)[0] for t in (a, b, out)]
    address = lib.anymps_buffer_native(lib.anymps_matrix_buffer(tensors[2]))
    check(address == out.data_ptr(), f"no copy: {address} is not {out.data_ptr()}")
    torch.cuda.synchronize()
    must(lib.anymps_matmul(None, *tensors), "matmul")
    worst = (out.double() - a.double() @ b.double()).abs().max().item()
    check(worst < 1e-4, f"matmul differs by {worst}")
    _, transposed = take(device, a.t(), side.cuda_stream)
    check(transposed, "a transposed view is told")

    # one stream: PyTorch writes, anymps reads and writes, PyTorch reads, no synchronisation between
    softmax = SoftmaxDesc(ctypes.sizeof(SoftmaxDesc), ALL, ALL, 1.0, F32, 0, 0)
    must(lib.anymps_softmax_create(device, ctypes.byref(softmax), ctypes.byref(kernel)), "softmax_create")
    must(lib.anymps_command_buffer_create(queue, ctypes.byref(commands)), "command_buffer_create")
    x, y = torch.zeros(4096, 2048, device="cuda"), torch.zeros(4096, 2048, device="cuda")
    source, result = take(device, x, side.cuda_stream)[0], take(device, y, side.cuda_stream)[0]
    must(lib.anymps_softmax_encode(kernel, commands, source, result, None), "softmax_encode")
    must(lib.anymps_softmax_encode(kernel, commands, source, result, None), "softmax_encode")
    torch.cuda.synchronize()
    for i in range(20):
        with torch.cuda.stream(side):
            x.normal_()
            for _ in range(5):
                x.mul_(1.01)
            must(lib.anymps_command_buffer_commit(commands), "commit")
            difference = (y - torch.softmax(x, -1)).abs().max()
        must(lib.anymps_command_buffer_wait(commands), "wait")
        check(difference.item() < 1e-6, f"round {i}: softmax in PyTorch's stream differs by {difference.item()}")

    # the caller's own stream as the target of one commit: the queue is another's, the first commit launches, later ones are a graph
    other = torch.cuda.Stream()
    for i in range(6):
        with torch.cuda.stream(other):
            x.normal_()
            for _ in range(5):
                x.mul_(1.01)
            must(lib.anymps_command_buffer_commit_native(commands, P(other.cuda_stream)), "commit_native")
            difference = (y - torch.softmax(x, -1)).abs().max()
        must(lib.anymps_command_buffer_wait(commands), "wait")
        check(difference.item() < 1e-6, f"round {i}: softmax in the caller's stream differs by {difference.item()}")

    for matrix in [*tensors, source, result]:
        lib.anymps_matrix_release(matrix)
    lib.anymps_command_buffer_release(commands)
    lib.anymps_kernel_release(kernel)
    lib.anymps_queue_release(queue)
    lib.anymps_device_release(device)
    check(torch.ones(3, device="cuda").sum().item() == 3, "PyTorch still works after the device was released")


def large_products():
    """f32 products large enough for the tensor cores: error against double in units of 2^-24 of |left|*|right|, whose bound
    is 2*interior; and values that cannot be cut into bf16 parts."""
    device = P()
    desc = DeviceDesc(ctypes.sizeof(DeviceDesc), b"cuda", 0, None)
    must(lib.anymps_device_open(ctypes.byref(desc), ctypes.byref(device)), "device_open")
    torch.backends.cuda.matmul.allow_tf32 = False

    def product(a, b):
        out = torch.full((a.shape[0], b.shape[1]), float("nan"), device="cuda")
        matrices = [take(device, t, -1)[0] for t in (a, b, out)]
        torch.cuda.synchronize()
        must(lib.anymps_matmul(None, *matrices), "matmul")
        for matrix in matrices:
            lib.anymps_matrix_release(matrix)
        return out

    def units(got, a, b):
        exact, size = a.double() @ b.double(), a.abs().double() @ b.abs().double()
        return ((got.double() - exact).abs() / size).max().item() * 2**24

    def wide(m, n):
        return torch.randn(m, n, device="cuda") * torch.exp2(torch.randint(-20, 20, (m, n), device="cuda").float())

    for m, k, n in ((1024, 1024, 1024), (2048, 2048, 2048), (1000, 1111, 1030), (4096, 4096, 4096)):
        for name, make in (("normal", lambda *s: torch.randn(*s, device="cuda")), ("uniform", lambda *s: torch.rand(*s, device="cuda")), ("wide", wide)):
            a, b = make(m, k), make(k, n)
            ours, theirs = units(product(a, b), a, b), units(a @ b, a, b)
            print(f"f32 {m}x{n}x{k} {name:8s} error in 2^-24 units: ours {ours:8.2f}  cuBLAS {theirs:8.2f}  (bound {2 * k})")
            check(ours <= 2 * k, f"{m}x{n}x{k} {name}: {ours} units")
    a, b = torch.randn(1024, 1024, device="cuda"), torch.randn(1024, 1024, device="cuda")
    for name, i, value in (("infinity", 3, float("inf")), ("NaN", 7, float("nan")), ("tiny", 9, 1e-37), ("huge", 11, 3e38)):
        a[i] = torch.randn(1024, device="cuda") if name == "tiny" else a[i]
        a[i, 5] = value
        got, exact = product(a, b), (a.double() @ b.double()).float()
        same = torch.isnan(got) == torch.isnan(exact)
        close = torch.isclose(got, exact, rtol=1e-3, atol=1e-3, equal_nan=True)
        check(same.all().item() and close.all().item(), f"{name}: other values than the plain product")
        a[i] = torch.randn(1024, device="cuda")
    lib.anymps_device_release(device)


run()
large_products()
print("torch interop:", "all good" if failures == 0 else f"{failures} failures")
sys.exit(failures != 0)
