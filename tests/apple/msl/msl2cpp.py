#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a shader text into C++ that the stand-in <metal_stdlib> compiles, with a table of its kernels.

    msl2cpp.py [--drop-barrier N] [--table] output.cpp common.metal op.metal

The text is common.metal followed by op.metal, as the backend hands it to newLibraryWithSource. Attributes go,
threadgroup arrays become a macro, the rest of the text stays as it is, line by line. After it come, with --table,
a function for each kernel that takes its arguments from tables, and the msl_library (library.h) with the original
text. --drop-barrier N removes the N-th threadgroup_barrier (from 0) before that, and keeps the original text in the
table, so that a test can see that the barrier mattered; past the last barrier the exit status is 3.
"""
import pathlib
import re
import sys

BUILTIN = {
    "threadgroup_position_in_grid": ("uint3", "uint3{t->group_in_grid[0], t->group_in_grid[1], t->group_in_grid[2]}"),
    "threadgroups_per_grid": ("uint3", "uint3{t->groups_per_grid[0], t->groups_per_grid[1], t->groups_per_grid[2]}"),
    "thread_index_in_threadgroup": ("uint", "t->index_in_group"),
    "thread_index_in_simdgroup": ("uint", "t->lane"),
    "simdgroup_index_in_threadgroup": ("uint", "t->simdgroup"),
    "simdgroups_per_threadgroup": ("uint", "t->simdgroups"),
}
BARRIER = re.compile(r"threadgroup_barrier\([^)]*\)\)?;")
KERNEL = re.compile(r"^kernel void (\w+)\((.*?)\)\n\{", re.S | re.M)
SHARED = re.compile(r"^(\s+)threadgroup\s+(\w+)\s+(\w+)((?:\[[^]]*\])+);", re.M)
ATTRIBUTE = re.compile(r"\s*\[\[[^]]*\]\]")


def fail(message):
    sys.exit(f"msl2cpp: {message}")


def arguments_of(kernel, text):
    """(declaration, attribute, number) of each argument."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(.*?)\s*\[\[(\w+)(?:\((\d+)\))?\]\]\s*", part, re.S)
        if not match:
            fail(f"{kernel}: cannot read the argument '{part.strip()}'")
        found.append((" ".join(match[1].split()), match[2], int(match[3] or 0)))
    return found


def binding(kernel, declaration, attribute, number):
    """The C++ expression that hands the argument over, and its row in the table or None."""
    if attribute in BUILTIN:
        wanted, value = BUILTIN[attribute]
        if declaration.split()[0] != wanted:
            fail(f"{kernel}: {attribute} is {wanted}, not '{declaration}'")
        return value, None
    reference = re.fullmatch(r"constant (\w+) &(\w+)", declaration)
    pointer = re.fullmatch(r"device (const )?(\w+) \*(\w+)", declaration)
    if attribute == "buffer" and reference:
        row = (reference[2], number, f"sizeof({reference[1]})", f"alignof({reference[1]})", 0)
        return f"*(const {reference[1]} *)b[{number}]", row
    if attribute == "buffer" and pointer:
        constness = pointer[1] or ""
        row = (pointer[3], number, f"sizeof({pointer[2]})", f"alignof({pointer[2]})", 0 if constness else 1)
        return f"({constness}{pointer[2]} *)b[{number}]", row
    fail(f"{kernel}: '{declaration} [[{attribute}]]' is outside the written subset")


def table(name, source, kernels):
    lines = ["#undef device", "#undef constant", "#undef threadgroup", "#undef thread", "#undef kernel"]
    entries = []
    for kernel, arguments in kernels:
        values, rows = zip(*(binding(kernel, *argument) for argument in arguments))
        rows = [row for row in rows if row]
        lines.append(f"static void call_{kernel}(const msl_thread *t, void *const *b)")
        lines.append("{\n    (void)t;\n    " + f"{kernel}(" + ", ".join(values) + ");\n}")
        lines.append(f"static const msl_argument arguments_{kernel}[] = {{")
        lines += [f'    {{"{r[0]}", {r[1]}, {r[2]}, {r[3]}, {r[4]}}},' for r in rows]
        lines.append("};")
        entries.append(f'    {{"{kernel}", call_{kernel}, arguments_{kernel}, {len(rows)}, 1024}},')
    lines += [f"static const msl_kernel msl_kernels[] = {{", *entries, "};"]
    data = source.encode()
    lines.append("static const unsigned char msl_text[] = {")
    lines += ["    " + ", ".join(map(str, data[i:i + 24])) + "," for i in range(0, len(data), 24)]
    lines.append("    0};")
    lines.append(f'extern "C" const msl_library msl_library_{name} = {{"{name}", (const char *)msl_text, {len(data)}, '
                 f"msl_kernels, {len(kernels)}}};")
    return "\n".join(lines) + "\n"


def drop_barrier(text, number):
    for i, match in enumerate(BARRIER.finditer(text)):
        if i == number:
            return text[:match.start()] + ";" + text[match.end():]
    sys.exit(3)


def main(arguments):
    dropped = None
    if arguments[0] == "--drop-barrier":
        dropped, arguments = int(arguments[1]), arguments[2:]
    with_table = arguments[0] == "--table"
    output, common, op = arguments[1:] if with_table else arguments
    source = pathlib.Path(common).read_text() + pathlib.Path(op).read_text()
    text = source if dropped is None else drop_barrier(source, dropped)
    kernels = [(m[1], arguments_of(m[1], m[2])) for m in KERNEL.finditer(text)]
    if not kernels or len(kernels) != len(re.findall(r"^kernel\b", text, re.M)):
        fail(f"{op}: {len(kernels)} kernels could be read of {len(re.findall(r'^kernel', text, re.M))}")
    text = SHARED.sub(r"\1MSL_THREADGROUP(\2, \3, \4);", ATTRIBUTE.sub("", text))
    name = re.sub(r"\W", "_", pathlib.Path(op).stem)
    head = '#include "library.h"\n#line 1 "%s"\n' % (name + ".metal") if with_table else '#line 1 "%s"\n' % (name + ".metal")
    pathlib.Path(output).write_text(head + text + (table(name, source, kernels) if with_table else ""))


main(sys.argv[1:])
