/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_pipeline.c: our own kernels: compiles a shader text on the device, makes a pipeline, keeps both.
 *
 * Called by prepare and by plans. Calls objc.h. Must not know what a kernel computes. A shader is compiled once
 * an opened device, when a kernel first needs it; pipelines are read without the lock after that.
 */
#include "metal_room.h"

#include "base/status.h"

/* The embedded texts, made by CMake (backend.cmake). */
#define AMPS_METAL_SHADER(shader) extern const char amps_metal_text_##shader[];
#define AMPS_METAL_KERNEL(shader, function)
#include "shaders.def"
#undef AMPS_METAL_SHADER
#undef AMPS_METAL_KERNEL

static const char *const texts[AMPS_METAL_SHADER_COUNT] = {
#define AMPS_METAL_SHADER(shader) amps_metal_text_##shader,
#define AMPS_METAL_KERNEL(shader, function)
#include "shaders.def"
#undef AMPS_METAL_SHADER
#undef AMPS_METAL_KERNEL
};

static const struct {
    amps_metal_shader shader;
    const char *name;
} functions[AMPS_METAL_FUNCTION_COUNT] = {
#define AMPS_METAL_SHADER(shader)
#define AMPS_METAL_KERNEL(shader, function) {AMPS_METAL_SHADER_##shader, #function},
#include "shaders.def"
#undef AMPS_METAL_SHADER
#undef AMPS_METAL_KERNEL
};

static anymps_status fail_with(const char *what, const char *name, amps_id error)
{
    char text[160];
    amps_copy_text(error != NULL ? amps_send_error_text(error) : NULL, text, sizeof text);
    return amps_fail_code(ANYMPS_INTERNAL, error != NULL ? (int64_t)amps_send_error_code(error) : 0, "metal: %s %s: %s",
                          what, name, text[0] != '\0' ? text : "no reason given");
}

/* Fast math would let the compiler assume that there is no NaN and no infinity. */
static anymps_status compile(amps_metal_device *device, amps_metal_shader shader, const char *name)
{
    if (device->libraries[shader] != NULL) {
        return ANYMPS_OK;
    }
    const amps_id options = amps_send_init(amps_send_alloc(amps_class_named("MTLCompileOptions")));
    ANYMPS_FAIL_IF(options == NULL, ANYMPS_OUT_OF_MEMORY, "metal: no compile options for %s", name);
    amps_send_set_fast_math(options, 0);
    amps_id error = NULL;
    /* An error may be set for a warning: only the result counts. */
    device->libraries[shader] = amps_send_new_library(device->device, amps_nsstring(texts[shader]), options, &error);
    amps_drop(options);
    return device->libraries[shader] != NULL ? ANYMPS_OK : fail_with("the shader does not compile for", name, error);
}

static anymps_status make_pipeline(amps_metal_device *device, amps_metal_function function, amps_id *pipeline)
{
    const char *const name = functions[function].name;
    ANYMPS_TRY(compile(device, functions[function].shader, name));
    const amps_id code = amps_send_new_function(device->libraries[functions[function].shader], amps_nsstring(name));
    ANYMPS_FAIL_IF(code == NULL, ANYMPS_INTERNAL, "metal: the shader has no function %s", name);
    amps_id error = NULL;
    *pipeline = amps_send_new_pipeline(device->device, code, &error);
    amps_drop(code);
    if (*pipeline == NULL) {
        return fail_with("no pipeline for", name, error);
    }
    /* Our kernels want 128 or 256 threads; Metal promises at least 256 for such small ones on Apple GPUs. */
    const amps_nsuint threads = amps_send_max_threads(*pipeline);
    if (threads < 256) {
        amps_drop(*pipeline);
        return amps_fail(ANYMPS_UNSUPPORTED, "metal: %s runs with %lu threads on this device, needs 256", name,
                         threads);
    }
    return ANYMPS_OK;
}

anymps_status amps_metal_pipeline(amps_metal_device *device, amps_metal_function function, amps_id *pipeline)
{
    amps_id found = atomic_load_explicit(&device->pipelines[function], memory_order_acquire);
    anymps_status status = ANYMPS_OK;
    if (found == NULL) {
        void *const pool = amps_apple.objc_autoreleasePoolPush();
        (void)pthread_mutex_lock(&device->lock);
        found = atomic_load_explicit(&device->pipelines[function], memory_order_relaxed);
        if (found == NULL) {
            status = make_pipeline(device, function, &found);
            if (status == ANYMPS_OK) {
                atomic_store_explicit(&device->pipelines[function], found, memory_order_release);
            }
        }
        (void)pthread_mutex_unlock(&device->lock);
        amps_apple.objc_autoreleasePoolPop(pool);
    }
    ANYMPS_TRY(status);
    *pipeline = found;
    return ANYMPS_OK;
}

void amps_metal_pipelines_close(amps_metal_device *device)
{
    for (size_t i = 0; i < AMPS_METAL_FUNCTION_COUNT; i++) {
        amps_drop(atomic_load(&device->pipelines[i]));
    }
    for (size_t i = 0; i < AMPS_METAL_SHADER_COUNT; i++) {
        amps_drop(device->libraries[i]);
    }
}
