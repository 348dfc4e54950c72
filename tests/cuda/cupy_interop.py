# SPDX-License-Identifier: Apache-2.0
"""CuPy arrays on an NVIDIA GPU through DLPack into libanymps by ctypes, and results back as CuPy arrays: values, addresses,
owners, streams.

    cupy_interop.py BUILD_FOLDER      (holds src/libanymps.so; exit 1 and a line per failure, 77 without CuPy)
"""
import ctypes
import gc
import pathlib
import sys

try:
    import cupy
except ImportError:
    print("cupy interop: skipped, no CuPy")
    sys.exit(77)

lib = ctypes.CDLL(str(next(pathlib.Path(sys.argv[1]).rglob("libanymps.so"))))
P = ctypes.c_void_p
F32, F16 = 0x10000020, 0x10000010
SHARED, PRIVATE = 0, 2
ALL = ctypes.c_size_t(-1).value
failures = 0


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


class MatrixDesc(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [(name, ctypes.c_size_t) for name in ("rows", "columns", "matrices", "row_bytes", "matrix_bytes")] + [
        ("dtype", ctypes.c_int), ("flags", ctypes.c_uint32)]


for name in ("anymps_queue_native", "anymps_matrix_buffer", "anymps_buffer_native"):
    getattr(lib, name).restype, getattr(lib, name).argtypes = P, [P]
for name in ("buffer", "matrix", "queue", "device", "command_buffer", "kernel"):
    getattr(lib, f"anymps_{name}_release").restype, getattr(lib, f"anymps_{name}_release").argtypes = None, [P]

# ---- DLPack's capsules, both ways

DESTRUCTOR = ctypes.CFUNCTYPE(None, P)
api = ctypes.pythonapi
api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = P, [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_New.restype, api.PyCapsule_New.argtypes = ctypes.py_object, [P, ctypes.c_char_p, P]
NEW = b"dltensor"


class Tensor(ctypes.Structure):
    """DLManagedTensor."""
    _fields_ = [("data", P), ("device_type", ctypes.c_int), ("device_id", ctypes.c_int), ("dimensions", ctypes.c_int), ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64), ("context", P), ("deleter", DESTRUCTOR)]


def take(device, array, stream):
    """The array as a matrix over the same memory. `stream` is the consumer's, in whose order anymps will read."""
    capsule = array.__dlpack__(stream=stream)
    matrix, transposed = P(), ctypes.c_bool()
    pointer = P(api.PyCapsule_GetPointer(capsule, NEW))
    must(lib.anymps_matrix_from_dlpack(device, pointer, ctypes.byref(matrix), ctypes.byref(transposed)), "from_dlpack")
    api.PyCapsule_SetName(capsule, b"used_dltensor")
    return matrix, transposed.value


class Handed:
    """A matrix as an object that CuPy's from_dlpack takes. Its work has been waited for, or runs in CuPy's own stream."""

    def __init__(self, matrix):
        self.tensor = ctypes.POINTER(Tensor)()
        must(lib.anymps_matrix_to_dlpack(matrix, ctypes.byref(self.tensor)), "to_dlpack")

    def __dlpack_device__(self):
        return self.tensor.contents.device_type, self.tensor.contents.device_id

    def __dlpack__(self, stream=None, **_):
        return api.PyCapsule_New(ctypes.cast(self.tensor, P), NEW, None)


def make_matrix(device, rows, columns, dtype, element):
    desc = MatrixDesc(ctypes.sizeof(MatrixDesc), rows, columns, 1, 0, 0, dtype, 0)
    buffer, matrix = P(), P()
    must(lib.anymps_buffer_create(device, ctypes.c_size_t(rows * columns * element), PRIVATE, ctypes.byref(buffer)), "buffer_create")
    must(lib.anymps_matrix_create(buffer, ctypes.c_size_t(0), ctypes.byref(desc), ctypes.byref(matrix)), "matrix_create")
    lib.anymps_buffer_release(buffer)
    return matrix


# ---- Checks


def values_and_addresses(device):
    for name, tolerance in (("float32", 1e-4), ("float16", 0.2)):
        a, b = cupy.random.standard_normal((96, 64)).astype(name), cupy.random.standard_normal((64, 80)).astype(name)
        out = cupy.zeros((96, 80), name)
        matrices = [take(device, array, -1)[0] for array in (a, b, out)]
        address = lib.anymps_buffer_native(lib.anymps_matrix_buffer(matrices[2]))
        check(address == out.data.ptr, f"no copy: {address} is not {out.data.ptr}")
        cupy.cuda.Device().synchronize()
        desc = None
        if name == "float32":
            must(lib.anymps_matmul(desc, *matrices), "matmul")
            worst = float(cupy.abs(out.astype("float64") - a.astype("float64") @ b.astype("float64")).max())
            check(worst < tolerance, f"{name}: matmul differs by {worst}")
        else:
            must(lib.anymps_softmax(desc, matrices[0], take_like(device, a, matrices)), "softmax")
        for matrix in matrices:
            lib.anymps_matrix_release(matrix)
    turned, transposed = take(device, cupy.zeros((5, 7), "float32").T, -1)
    check(transposed, "a transposed view is told")
    lib.anymps_matrix_release(turned)


def take_like(device, array, keep):
    """A result for `array`, released with the others."""
    made = take(device, cupy.zeros_like(array), -1)[0]
    keep.append(made)
    return made


def owners(device):
    """Memory of ours lives in a CuPy array after everything of ours was released; CuPy's array lives as long as our matrix."""
    ours = make_matrix(device, 33, 65, F32, 4)
    array = cupy.from_dlpack(Handed(ours))
    check(array.shape == (33, 65) and array.dtype == cupy.float32, f"handed out as {array.shape} of {array.dtype}")
    check(array.data.ptr == lib.anymps_buffer_native(lib.anymps_matrix_buffer(ours)), "handed out without a copy")
    lib.anymps_matrix_release(ours)
    array[:] = cupy.arange(33 * 65, dtype="float32").reshape(33, 65)
    check(float(array.sum()) == 33 * 65 * (33 * 65 - 1) / 2, "our memory in CuPy's hands")
    source = array * 2.0
    matrix = take(device, source, -1)[0]
    wanted = cupy.asnumpy(source).sum()
    del source
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    again = cupy.from_dlpack(Handed(matrix))
    lib.anymps_matrix_release(matrix)
    check(abs(float(again.sum()) - wanted) <= 1e-3 * wanted, "CuPy's memory after a journey through both")


def streams(device):
    """CuPy writes, anymps reads and writes in CuPy's stream, CuPy reads: nothing is synchronised between."""
    side = cupy.cuda.Stream(non_blocking=True)
    queue, commands, kernel = P(), P(), P()
    must(lib.anymps_queue_create_native(device, P(side.ptr), ctypes.byref(queue)), "queue_create_native")
    check(lib.anymps_queue_native(queue) == side.ptr, "the queue runs in CuPy's stream")
    desc = SoftmaxDesc(ctypes.sizeof(SoftmaxDesc), ALL, ALL, 1.0, F32, 0, 0)
    must(lib.anymps_softmax_create(device, ctypes.byref(desc), ctypes.byref(kernel)), "softmax_create")
    must(lib.anymps_command_buffer_create(queue, ctypes.byref(commands)), "command_buffer_create")
    x = cupy.zeros((4096, 2048), "float32")
    source, ours = take(device, x, side.ptr)[0], make_matrix(device, 4096, 2048, F32, 4)
    y = cupy.from_dlpack(Handed(ours))
    for _ in range(2):
        must(lib.anymps_softmax_encode(kernel, commands, source, ours, None), "softmax_encode")
    cupy.cuda.Device().synchronize()
    for i in range(12):
        with side:
            x[:] = cupy.random.standard_normal(x.shape, dtype="float32")
            for _ in range(5):
                x *= cupy.float32(1.01)
            must(lib.anymps_command_buffer_commit(commands), "commit")
            power = cupy.exp(x - x.max(axis=1, keepdims=True))
            difference = cupy.abs(y - power / power.sum(axis=1, keepdims=True)).max()
        must(lib.anymps_command_buffer_wait(commands), "wait")
        side.synchronize()
        check(float(difference) < 1e-6, f"round {i}: softmax in CuPy's stream differs by {float(difference)}")
    for matrix in (source, ours):
        lib.anymps_matrix_release(matrix)
    lib.anymps_command_buffer_release(commands)
    lib.anymps_kernel_release(kernel)
    lib.anymps_queue_release(queue)


def run():
    device = P()
    desc = DeviceDesc(ctypes.sizeof(DeviceDesc), b"cuda", 0, None)
    must(lib.anymps_device_open(ctypes.byref(desc), ctypes.byref(device)), "device_open")
    values_and_addresses(device)
    owners(device)
    streams(device)
    lib.anymps_device_release(device)
    check(int(cupy.ones(3).sum()) == 3, "CuPy still works after the device was released")


run()
print("cupy interop:", "all good" if failures == 0 else f"{failures} failures")
sys.exit(failures != 0)
