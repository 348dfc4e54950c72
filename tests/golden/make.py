#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden files of this folder with NumPy and the safetensors package (see README.md).

Element k, in C order, is (7 k mod 23) - 5; unsigned: 7 k mod 23; bool: 7 k mod 23 is odd. tests/io/test_golden.c
computes the same.
"""
import pathlib

import numpy as np
import safetensors
import safetensors.numpy
from numpy.lib import format as npy

HERE = pathlib.Path(__file__).parent
TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]


def values(shape, dtype):
    count = int(np.prod(shape, dtype=np.int64))
    k = 7 * np.arange(count, dtype=np.int64) % 23
    if dtype[-2] == "b":
        k = k % 2
    elif dtype[-2] != "u":
        k = k - 5
    return k.reshape(shape).astype(dtype)


def write(name, array, version=(1, 0), **options):
    with open(HERE / f"{name}.npy", "wb") as file:
        npy.write_array(file, array, version=version, **options)


def write_npy():
    for dtype in TYPES:
        write(f"{dtype}_le", values((3, 5), "<" + dtype))
        if dtype[1] != "1":
            write(f"{dtype}_be", values((3, 5), ">" + dtype))
    write("fortran", np.asfortranarray(values((3, 5), "<f4")))
    write("fortran_be", np.asfortranarray(values((3, 5), ">f8")))
    write("fortran_batch", np.asfortranarray(values((2, 3, 4), "<f4")))
    write("scalar", values((), "<f4"))
    write("vector", values((7,), "<f4"))
    write("batch", values((2, 3, 4), "<f4"))
    write("empty", values((0, 4), "<f4"))
    write("narrow", values((4, 0), "<f4"))
    write("deep", values((1, 2, 1, 2, 1, 2, 1, 2), "<i2"))
    write("version2", values((3, 5), "<f4"), version=(2, 0))
    write("version3", values((3, 5), "<f4"), version=(3, 0))
    # Types that are no number of ours: refused.
    write("refused_object", np.array([None]), allow_pickle=True)
    write("refused_complex", np.zeros(2, "<c8"))
    write("refused_structured", np.zeros(2, [("a", "<f4"), ("b", "<i2")]))
    write("refused_text", np.array(["ab", "c"]))
    write("refused_date", np.zeros(2, "<M8[ns]"))
    write("refused_nine", np.zeros((1,) * 9, "<f4"))


def write_safetensors():
    tensors = {dtype: values((3, 5), "<" + dtype) for dtype in TYPES}
    tensors["scalar"] = values((), "<f4")
    tensors["empty"] = values((0, 4), "<f4")
    tensors["naïve ☃ \"quoted\\name\""] = values((2, 3, 4), "<f4")
    safetensors.numpy.save_file(tensors, HERE / "all.safetensors", metadata={"made": "by the safetensors package"})
    safetensors.numpy.save_file({"weight": values((3, 5), "<f4")}, HERE / "one.safetensors")
    safetensors.numpy.save_file({}, HERE / "none.safetensors")
    halves = values((3, 5), "<f4").view("<u4") >> 16  # exact: the values are small
    write_raw("bf16", {"bf16": ("bfloat16", [3, 5], halves.astype("<u2")), "f4": ("float32", [2], values((2,), "<f4"))})
    write_raw("refused_f8", {"w": ("float8_e4m3fn", [4], np.zeros(4, "u1"))})


def write_raw(name, tensors):
    """Types that NumPy lacks: the package takes their bytes."""
    specs = {
        key: safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for key, (dtype, shape, array) in tensors.items()
    }
    (HERE / f"{name}.safetensors").write_bytes(safetensors.serialize(specs))


if __name__ == "__main__":
    write_npy()
    write_safetensors()
