# SPDX-License-Identifier: Apache-2.0
# Makes a C file of the examples in the public headers' comments: each block after a line " * Example:" becomes a function
# that has the objects which an example may name. Compiled by the build (tests/headers/CMakeLists.txt); nothing runs.
BEGIN {
    print "#include <anymps/anymps.h>\n#include <stdio.h>\n"
    types["anymps_device"] = "device"
    types["anymps_queue"] = "queue"
    types["anymps_kernel"] = "kernel"
    types["anymps_buffer"] = "buffer"
    types["anymps_matrix"] = "left right result matrix source weights residual down up"
    types["anymps_vector"] = "vector sum bias weight"
    types["struct DLManagedTensor"] = "managed"
    for (type in types) {
        n = split(types[type], names, " ")
        for (i = 1; i <= n; i++) {
            parameters = parameters (parameters == "" ? "" : ", ") type " *" names[i]
        }
    }
}
/^ \* Example:$/ {
    count++
    inside = 1
    printf "anymps_status example_%d(%s);\nanymps_status example_%d(%s)\n{\n#line %d \"%s\"\n\n", count, parameters, count,
           parameters, FNR + 1, FILENAME
    next
}
inside && /^ \*     / { print substr($0, 4); next }
inside && /^ \*$/ { next }
inside { print "}\n"; inside = 0 }
END {
    if (count == 0) {
        exit 1
    }
    printf "enum { EXAMPLES = %d };\n", count
}
