#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays handed in as DLPack capsules, and ours handed to NumPy: test_numpy.py LIBRARY.

Uses the library through ctypes, as a newcomer's program would: no wrapper of ours in between. Exit 77 (skipped)
without NumPy.
"""
import ctypes
import sys
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_void_p

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy")
    sys.exit(77)

OK, INVALID_ARGUMENT, SHAPE_MISMATCH, UNSUPPORTED = 0, 1, 3, 4


class DeviceDesc(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("id", c_char_p), ("threads", c_size_t), ("isa", c_char_p)]


class MatrixDesc(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("rows", c_size_t), ("columns", c_size_t), ("matrices", c_size_t),
                ("row_bytes", c_size_t), ("matrix_bytes", c_size_t), ("dtype", c_int), ("flags", c_uint32)]


class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("operation", ctypes.c_char * 32), ("backend_code", ctypes.c_int64),
                ("message", ctypes.c_char * 256)]


class Live(ctypes.Structure):
    _fields_ = [(name, c_size_t) for name in ("objects", "blocks", "block_bytes", "device_bytes", "wrapped")]


lib = ctypes.CDLL(sys.argv[1])
lib.anymps_last_error.restype = POINTER(Error)
lib.anymps_live_counts.restype = Live
lib.anymps_matrix_get_desc.restype = MatrixDesc
for getter in ("anymps_matrix_contents", "anymps_matrix_buffer", "anymps_vector_contents"):
    getattr(lib, getter).restype = c_void_p
    getattr(lib, getter).argtypes = [c_void_p]
lib.anymps_matrix_get_desc.argtypes = [c_void_p]
for release in ("anymps_matrix_release", "anymps_vector_release", "anymps_device_release"):
    getattr(lib, release).restype = None
    getattr(lib, release).argtypes = [c_void_p]
lib.anymps_buffer_is_read_only.restype = c_bool
lib.anymps_buffer_is_read_only.argtypes = [c_void_p]
lib.anymps_matmul_tensors.argtypes = [c_void_p] * 5
lib.anymps_dlpack_validate.argtypes = [c_void_p] * 3

python = ctypes.pythonapi
python.PyCapsule_GetPointer.restype = c_void_p
python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, c_char_p]
python.PyCapsule_SetName.argtypes = [ctypes.py_object, c_char_p]
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_New.argtypes = [c_void_p, c_char_p, c_void_p]

failures = 0
USED = {b"dltensor": b"used_dltensor", b"dltensor_versioned": b"used_dltensor_versioned"}  # names live as long as capsules


def check(condition, what):
    global failures
    if not condition:
        failures += 1
        print(f"failed: {what}")


def message():
    return lib.anymps_last_error().contents.message.decode()


def capsule_of(array, versioned):
    """The array's capsule, its name and the address of the struct in it."""
    try:
        capsule = array.__dlpack__(max_version=(1, 1)) if versioned else array.__dlpack__()
    except TypeError:  # NumPy before 2.1 has no versions
        return None, None, None
    name = b"dltensor_versioned" if versioned else b"dltensor"
    return capsule, name, python.PyCapsule_GetPointer(capsule, name)


def tensor_address(pointer, versioned):
    """DLTensor comes first in DLManagedTensor; behind version, context, deleter and flags in the versioned form."""
    return pointer + 32 if versioned else pointer


def import_matrix(device, array, versioned):
    """As a consumer does it: on success the capsule is renamed, the tensor is ours."""
    capsule, name, pointer = capsule_of(array, versioned)
    if capsule is None:
        return None
    matrix, transposed = c_void_p(), c_bool()
    call = lib.anymps_matrix_from_dlpack_versioned if versioned else lib.anymps_matrix_from_dlpack
    status = call(device, c_void_p(pointer), byref(matrix), byref(transposed))
    if status == OK:
        python.PyCapsule_SetName(capsule, USED[name])
    return status, matrix, transposed.value


def check_import(device, versioned):
    base = np.arange(60, dtype=np.float32).reshape(6, 10)
    for what, array, transposed in [("whole", base, False), ("part", base[1:5, 2:7], False), ("every second row", base[::2], False),
                                    ("transposed", base.T, True), ("transposed part", base[1:5, 2:7].T, True),
                                    ("batch", base.reshape(2, 3, 10), False),
                                    ("heads", base.reshape(6, 2, 5).transpose(1, 0, 2), False)]:
        references = sys.getrefcount(array)
        answer = import_matrix(device, array, versioned)
        if answer is None:
            return
        status, matrix, seen_transposed = answer
        check(status == OK, f"{what}: {message()}")
        check(lib.anymps_matrix_contents(matrix) == array.ctypes.data, f"{what}: another address")
        check(seen_transposed == transposed, f"{what}: transposed {seen_transposed}")
        desc = lib.anymps_matrix_get_desc(matrix)
        shape = array.T.shape if transposed else array.shape
        check((desc.rows, desc.columns) == shape[-2:] and desc.matrices == (shape[0] if len(shape) == 3 else 1), f"{what}: shape")
        check(sys.getrefcount(array) > references, f"{what}: the array is not kept")
        lib.anymps_matrix_release(matrix)
        check(sys.getrefcount(array) == references, f"{what}: the array is not given back")


def check_refused(device, versioned):
    base = np.arange(60, dtype=np.float32).reshape(6, 10)
    for what, array, status, words in [("every second column", base[:, ::2], SHAPE_MISMATCH, "contiguous"),
                                       ("reversed", base[::-1], SHAPE_MISMATCH, "contiguous"),
                                       ("four dimensions", base.reshape(1, 2, 3, 10), SHAPE_MISMATCH, "reshape"),
                                       ("complex", base.astype(np.complex64), UNSUPPORTED, "convert"),
                                       ("a vector as a matrix", base[0], SHAPE_MISMATCH, "reshape")]:
        references = sys.getrefcount(array)
        answer = import_matrix(device, array, versioned)
        if answer is None:
            return
        check(answer[0] == status and words in message(), f"{what}: status {answer[0]}, {message()}")
        check(sys.getrefcount(array) == references, f"{what}: the array is kept")


def check_read_only(device):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    array.flags.writeable = False
    answer = import_matrix(device, array, True)
    if answer is not None:
        check(answer[0] == OK and lib.anymps_buffer_is_read_only(lib.anymps_matrix_buffer(answer[1])), "read-only flag")
        lib.anymps_matrix_release(answer[1])


def multiply(device, left, right, result, versioned=False):
    capsules = [capsule_of(array, versioned) for array in (left, right, result)]
    tensors = [tensor_address(pointer, versioned) for _, _, pointer in capsules]
    return lib.anymps_matmul_tensors(device, None, *tensors)


def check_matmul(device):
    random = np.random.default_rng(7)
    a, b = random.integers(-4, 5, (20, 30)).astype(np.float32), random.integers(-4, 5, (30, 12)).astype(np.float32)
    for what, left, right in [("plain", a, b), ("left transposed", np.ascontiguousarray(a.T).T, b),
                              ("right transposed", a, np.asfortranarray(b)), ("parts", a[3:17, 5:25], b[5:25, 1:9]),
                              ("part of a transposed one", np.ascontiguousarray(a.T).T[2:9], b),
                              ("every second row", a[::2], b), ("one column", a, b[:, :1]), ("one row", a[:1], b)]:
        wide = np.full((left.shape[0], right.shape[1] + 3), np.nan, np.float32)
        result = wide[:, : right.shape[1]]
        before = (left.copy(), right.copy())
        status = multiply(device, left, right, result)
        check(status == OK, f"matmul, {what}: {message()}")
        check(np.array_equal(result, left @ right), f"matmul, {what}: another product")  # small whole numbers: exact
        check(np.isnan(wide[:, right.shape[1] :]).all(), f"matmul, {what}: wrote beside the result")
        check(np.array_equal(left, before[0]) and np.array_equal(right, before[1]), f"matmul, {what}: changed an operand")
    out = np.zeros((20, 12), np.float32)
    check(multiply(device, a[:, ::2], b[::2], out) == SHAPE_MISMATCH and "contiguous" in message(), "matmul, refused strides")
    check(multiply(device, a, b[:-1], out) == SHAPE_MISMATCH and "30" in message() and "29" in message(), "matmul, shapes")
    check(multiply(device, a, b, np.asfortranarray(out)) == SHAPE_MISMATCH and "result" in message(), "matmul, result")
    half = [x.astype(np.float16) for x in (a, b)]
    check(multiply(device, half[0].T.copy().T, half[1], out) == OK and np.array_equal(out, a @ b), "matmul, f16 to f32")


class Ours:
    """A tensor of ours with the protocol that numpy.from_dlpack asks for."""

    def __init__(self, pointer, name):
        self.pointer, self.name = pointer, name

    def __dlpack__(self, **_options):
        return python.PyCapsule_New(self.pointer, self.name, None)

    def __dlpack_device__(self):
        return (1, 0)


def check_export(device):
    array = np.arange(60, dtype=np.float32).reshape(6, 10)[1:5, 2:7]
    for versioned in (False, True):
        answer = import_matrix(device, array, versioned)
        if answer is None:
            continue
        pointer = c_void_p()
        call = lib.anymps_matrix_to_dlpack_versioned if versioned else lib.anymps_matrix_to_dlpack
        check(call(answer[1], byref(pointer)) == OK, f"export: {message()}")
        lib.anymps_matrix_release(answer[1])
        back = np.from_dlpack(Ours(pointer.value, b"dltensor_versioned" if versioned else b"dltensor"))
        check(np.array_equal(back, array) and back.ctypes.data == array.ctypes.data, "export: not the same memory")
        check(lib.anymps_live_counts().wrapped == 1, "export: the tensor does not keep the memory")
        del back
        check(lib.anymps_live_counts().wrapped == 0, "export: the tensor does not give the memory back")


def main():
    device = c_void_p()
    desc = DeviceDesc(ctypes.sizeof(DeviceDesc), b"cpu", 0, None)
    check(lib.anymps_device_open(byref(desc), byref(device)) == OK, "device_open")
    for versioned in (False, True):
        check_import(device, versioned)
        check_refused(device, versioned)
    check_read_only(device)
    check_matmul(device)
    check_export(device)
    lib.anymps_device_release(device)
    live = lib.anymps_live_counts()
    check((live.objects, live.blocks, live.wrapped) == (0, 0, 0), "something is still live")
    print(f"numpy {np.__version__}: {failures} failed")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
