#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Removes each barrier of a shader text in turn; the conformance suite must notice every one.

    barriers.py --shader NAME --first N --spare 'N …' --run 'conformance command' --clang CLANG --flags '…'
                --objects DIR --source DIR --work DIR

A text without one barrier is compiled in place of the original and handed to the stand-in (FAKE_METAL_SHADERS). In at
least one order of the threads the suite must then fail. Prints the barriers that nobody would miss; exit 1 if any.
Barriers before the first of common.metal's count are another shader's to test; the spare ones are known not to matter
in this shader, since their function is called once only.
"""
import argparse
import os
import pathlib
import subprocess
import sys


def build(options, number):
    """The shared object with barrier `number` gone, or None past the last."""
    here = pathlib.Path(__file__).parent
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    cpp = work / f"{options.shader}.{number}.cpp"
    made = subprocess.run([sys.executable, here / "msl2cpp.py", "--drop-barrier", str(number), "--table", cpp,
                           f"{options.source}/common.metal", f"{options.source}/{options.shader}.metal"], check=False)
    if made.returncode == 3:
        return None
    made.check_returncode()
    output = work / f"{options.shader}.{number}.so"
    others = [str(p) for p in pathlib.Path(options.objects).glob("*.o") if p.stem != options.shader]
    runtime = [str(p) for p in pathlib.Path(options.objects).glob("CMakeFiles/msl_shaders.dir/*.o")]
    subprocess.run([options.clang, *options.flags.split(), "-O2", "-c", cpp, "-o", work / f"{options.shader}.{number}.o"],
                   check=True)
    subprocess.run(["cc", "-shared", "-o", output, work / f"{options.shader}.{number}.o", *others, *runtime, "-lm",
                    "-lpthread"], check=True)
    return output


def noticed(options, shaders):
    """True if the suite fails in some order. Ending by a signal is the stand-in's word that a kernel went astray."""
    for order in ("1", "20011", "0"):
        environment = dict(os.environ, FAKE_METAL_SHADERS=str(shaders), FAKE_METAL_ORDER=order, ANYMPS_REQUIRE="metal")
        answer = subprocess.run(options.run.split(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                check=False)
        if answer.returncode not in (0, 77):
            return True
    return False


def main():
    parser = argparse.ArgumentParser()
    for name in ("shader", "first", "spare", "run", "clang", "flags", "objects", "source", "work"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    number, missed = int(options.first), []
    spare = [int(word) for word in options.spare.split()]
    while (shaders := build(options, number)) is not None:
        if number not in spare and not noticed(options, shaders):
            missed.append(number)
        number += 1
    print(f"{options.shader}: {number} barriers, {len(missed)} that nobody misses {missed or ''}")
    sys.exit(1 if missed or number == 0 else 0)


main()
