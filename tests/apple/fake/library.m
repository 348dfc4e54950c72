/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library.m: MTLLibrary, MTLFunction, MTLComputePipelineState, MTLCompileOptions. A text is not compiled here: it
 * must be, byte for byte, one that the build compiled as C++ (tests/apple/msl), so that what ships is what ran.
 */
#include "metal.h"

#include "../msl/library.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

@implementation MTLCompileOptions
- (id)init
{
    fast_math = true;
    return self;
}
- (void)setFastMathEnabled:(BOOL)enabled
{
    fake_check_bool(self, _cmd, enabled);
    fast_math = enabled;
}
- (BOOL)fastMathEnabled
{
    return fast_math;
}
- (void)setLanguageVersion:(NSUInteger)version
{
    REFUSE_IF(version >> 16 == 0 || version >> 16 > 4, "language version %#lx", version);
    language = version;
}
- (NSUInteger)languageVersion
{
    return language;
}
- (void)setMathMode:(NSInteger)mode
{
    REFUSE_IF(mode < 0 || mode > 2, "math mode %ld", mode);
    math_mode = mode;
}
- (NSInteger)mathMode
{
    return math_mode;
}
@end

/* ---- The compiled texts ----------------------------------------------------------------------- */

static msl_run_function run_shaders;
static const msl_library *const *shaders;
static pthread_once_t shaders_once = PTHREAD_ONCE_INIT;

/* FAKE_METAL_SHADERS names another file, with altered kernels for the same texts. */
static void load_shaders(void)
{
    const char *path = getenv("FAKE_METAL_SHADERS");
    void *file = dlopen(path ? path : FAKE_SHADERS_PATH, RTLD_NOW | RTLD_LOCAL);
    if (!file)
        fake_misuse(nil, NULL, "%s", dlerror());
    msl_libraries_function list;
    *(void **)&list = dlsym(file, "msl_libraries");
    *(void **)&run_shaders = dlsym(file, "msl_run");
    shaders = list();
}

msl_run_function fake_shaders_run(void)
{
    pthread_once(&shaders_once, load_shaders);
    return run_shaders;
}

FakeLibrary *fake_library_from_source(FakeDevice *device, NSString *source)
{
    const char *text = [source UTF8String];
    const size_t length = strlen(text);
    pthread_once(&shaders_once, load_shaders);
    for (size_t i = 0; shaders[i]; i++) {
        if (shaders[i]->source_length == length && memcmp(shaders[i]->source, text, length) == 0) {
            FakeLibrary *library = [[FakeLibrary alloc] init];
            library->device = device;
            library->contents = shaders[i];
            return library;
        }
    }
    return nil;
}

@implementation FakeLibrary
- (FakeDevice *)device
{
    return device;
}
- (id)newFunctionWithName:(NSString *)name
{
    fake_check_object(self, _cmd, "name", name, [NSString class]);
    if (fake_creation_fails())
        return nil;
    for (size_t i = 0; i < contents->kernel_count; i++) {
        if (strcmp(contents->kernels[i].name, [name UTF8String]) == 0) {
            FakeFunction *function = [[FakeFunction alloc] init];
            function->device = device;
            function->kernel = &contents->kernels[i];
            return function;
        }
    }
    return nil;
}
@end

@implementation FakeFunction
- (FakeDevice *)device
{
    return device;
}
@end

@implementation FakePipeline
- (FakeDevice *)device
{
    return device;
}
- (NSUInteger)maxTotalThreadsPerThreadgroup
{
    return kernel->max_threads;
}
- (NSUInteger)threadExecutionWidth
{
    return 32;
}
@end
