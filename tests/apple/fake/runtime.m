/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime.m: the root class, autorelease pools, misuse reports, counters and options of the stand-in.
 *
 * Every object that the backend holds is made here and counted here. A released object keeps its memory for a
 * while as a FakeReleased, so that a message to it is named instead of crashing somewhere.
 */
#include "runtime.h"

#include <dlfcn.h>
#include <objc/message.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

fake_counts fake_totals;

static uint64_t options[FAKE_OPTION_COUNT];

static __thread uint64_t messages_sent, objects_made;
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;
static NSObject *newest;
static uint64_t live_count;
static Class released_class, pool_class;

/* The last objects released, kept to recognise messages to them; older ones are really freed. */
enum { QUARANTINE = 8192 };
static NSObject *quarantine[QUARANTINE];
static size_t quarantine_next;

@interface FakeReleased : NSObject
@end
@implementation FakeReleased
@end

/* ---- Misuse ----------------------------------------------------------------------------------- */

void fake_misuse(id receiver, SEL selector, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "fake metal: %s %s: %s\n", receiver ? object_getClassName(receiver) : "-",
            selector ? sel_getName(selector) : "-", text);
    fflush(stderr);
    abort();
}

void fake_check_bool(id receiver, SEL selector, fake_bool value)
{
    if ((int)value != 0 && (int)value != 1)
        fake_misuse(receiver, selector, "BOOL is %d", (int)value);
}

void fake_check_size(id receiver, SEL selector, const char *what, NSUInteger value)
{
    if (value >> 46)
        fake_misuse(receiver, selector, "%s is %lu", what, value);
}

bool fake_is_released(id object)
{
    return object_getClass(object) == released_class;
}

static bool is_kind_of(Class class, Class wanted)
{
    for (; class; class = class_getSuperclass(class)) {
        if (class == wanted)
            return true;
    }
    return false;
}

void fake_check_object(id receiver, SEL selector, const char *what, id object, Class class)
{
    if (!object)
        fake_misuse(receiver, selector, "%s is nil", what);
    if (fake_is_released(object))
        fake_misuse(receiver, selector, "%s is a released %s", what,
                    class_getName(((NSObject *)object)->former));
    if (!is_kind_of(object_getClass(object), class))
        fake_misuse(receiver, selector, "%s is a %s, not a %s", what, object_getClassName(object),
                    class_getName(class));
}

static id answer_unknown(id receiver, SEL selector)
{
    if (fake_is_released(receiver))
        fake_misuse(receiver, selector, "sent to a released %s",
                    class_getName(((NSObject *)receiver)->former));
    fake_misuse(receiver, selector, "unknown selector");
}

static IMP forward_unknown(id receiver, SEL selector)
{
    (void)receiver;
    (void)selector;
    return (IMP)answer_unknown;
}

/* FAKE_SILENT: no message does anything, but a commit calls the handler that was added before it. */
static id answer_silently(id receiver, SEL selector, void *argument)
{
    static __thread struct {
        void *class;
        int flags, reserved;
        void (*invoke)(void *block, id argument);
    } *handler;
    if (sel_isEqual(selector, @selector(addCompletedHandler:)))
        handler = argument;
    else if (sel_isEqual(selector, @selector(commit)))
        handler->invoke(handler, receiver);
    return receiver;
}

/* Where a message of the backend goes; called by objc_msgSend with a receiver that is not nil. */
IMP fake_lookup(id receiver, SEL selector)
{
    messages_sent++;
    if (fake_get(FAKE_SILENT))
        return (IMP)answer_silently;
    if (fake_is_released(receiver))
        answer_unknown(receiver, selector);
    return objc_msg_lookup(receiver, selector);
}

/* ---- Options and counters --------------------------------------------------------------------- */

static void set_from_environment(const char *name, fake_option option)
{
    const char *value = getenv(name);
    if (value)
        fake_set(option, strtoull(value, NULL, 0));
}

/* Alive when the process ends: only what the system owns, the devices, may be. */
static void check_nothing_alive(void)
{
    char text[1024];
    if (fake_describe_live(text, sizeof text) == 0)
        return;
    fprintf(stderr, "fake metal: objects alive at exit:\n%s", text);
    fflush(stderr);
    abort();
}

__attribute__((constructor)) static void set_up(void)
{
    __objc_msg_forward2 = forward_unknown;
    fake_set(FAKE_DELAY_US, 50);
    fake_set(FAKE_ERROR_CODE, 1);
    fake_set(FAKE_MPS_SUPPORT, getenv("FAKE_METAL_NO_MPS") == NULL);
    fake_set(FAKE_FAMILY, 1009);
    fake_set(FAKE_OS_MAJOR, 15);
    fake_set(FAKE_MAX_BUFFER, (uint64_t)1 << 32);
    set_from_environment("FAKE_METAL_DELAY_US", FAKE_DELAY_US);
    set_from_environment("FAKE_METAL_LINGER_US", FAKE_LINGER_US);
    set_from_environment("FAKE_METAL_EMPTY", FAKE_EMPTY_KERNELS);
    set_from_environment("FAKE_METAL_FAMILY", FAKE_FAMILY);
    set_from_environment("FAKE_METAL_ORDER", FAKE_THREAD_ORDER);
    set_from_environment("FAKE_METAL_DEFECTS", FAKE_DEFECTS);
    const char *version = getenv("FAKE_METAL_OS");
    if (version) {
        char *end = NULL;
        fake_set(FAKE_OS_MAJOR, strtoull(version, &end, 10));
        fake_set(FAKE_OS_MINOR, *end == '.' ? strtoull(end + 1, NULL, 10) : 0);
    }
}

/* A completion handler may still be running on its queue's thread, with the last references. */
__attribute__((destructor)) static void tear_down(void)
{
    fake_settle();
    fake_join_queues();
    fake_release_devices();
    check_nothing_alive();
    for (size_t i = 0; i < QUARANTINE; i++) {
        free(quarantine[i]);
        quarantine[i] = NULL;
    }
}

void fake_set(fake_option option, uint64_t value)
{
    __atomic_store_n(&options[option], value, __ATOMIC_RELAXED);
}

uint64_t fake_get(fake_option option)
{
    return __atomic_load_n(&options[option], __ATOMIC_RELAXED);
}

bool fake_counts_down(fake_option option)
{
    uint64_t left = fake_get(option);
    while (left > 0) {
        if (__atomic_compare_exchange_n(&options[option], &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return left == 1;
    }
    return false;
}

bool fake_creation_fails(void)
{
    return fake_counts_down(FAKE_FAIL_CREATE);
}

fake_counts fake_get_counts(void)
{
    fake_counts counts = {.messages = messages_sent, .objects_made = objects_made};
    fake_lock_hidden(&live_lock);
    counts.objects_live = live_count;
    fake_unlock_hidden(&live_lock);
    counts.command_buffers = __atomic_load_n(&fake_totals.command_buffers, __ATOMIC_RELAXED);
    counts.commits = __atomic_load_n(&fake_totals.commits, __ATOMIC_RELAXED);
    counts.mps_encodes = __atomic_load_n(&fake_totals.mps_encodes, __ATOMIC_RELAXED);
    counts.dispatches = __atomic_load_n(&fake_totals.dispatches, __ATOMIC_RELAXED);
    counts.buffer_bytes_live = __atomic_load_n(&fake_totals.buffer_bytes_live, __ATOMIC_RELAXED);
    return counts;
}

size_t fake_describe_live(char *text, size_t size)
{
    size_t length = 0, count = 0;
    if (size > 0)
        text[0] = 0;
    fake_lock_hidden(&live_lock);
    for (NSObject *object = newest; object; object = object->older) {
        const char *name = object_getClassName(object);
        if (strcmp(name, "FakeDevice") == 0)
            continue;
        count++;
        if (length + 1 < size) {
            int n = snprintf(text + length, size - length, "  %s (%u references)\n", name,
                             (unsigned)object->referenceCount);
            length += n > 0 ? (size_t)n : 0;
        }
    }
    fake_unlock_hidden(&live_lock);
    return count;
}

/* ---- The root class --------------------------------------------------------------------------- */

static void enlist(NSObject *object)
{
    fake_lock_hidden(&live_lock);
    object->older = newest;
    object->newer = NULL;
    if (newest)
        newest->newer = object;
    newest = object;
    live_count++;
    fake_unlock_hidden(&live_lock);
    if (object_getClass(object) != pool_class) /* Apple's pools are pages, not objects */
        objects_made++;
}

/* Takes the object off the list of the living and into quarantine. What leaves quarantine, perhaps another thread's, is
   freed inside the hidden lock. */
static void bury(NSObject *object)
{
    Class former = object_getClass(object);
    fake_lock_hidden(&live_lock);
    if (object->newer)
        object->newer->older = object->older;
    else
        newest = object->older;
    if (object->older)
        object->older->newer = object->newer;
    live_count--;
    object_setClass(object, released_class);
    object->former = former;
    free(quarantine[quarantine_next]);
    quarantine[quarantine_next] = object;
    quarantine_next = (quarantine_next + 1) % QUARANTINE;
    fake_unlock_hidden(&live_lock);
}

static __thread NSAutoreleasePool *innermost_pool;

@implementation NSObject
+ (id)alloc
{
    NSObject *object = calloc(1, class_getInstanceSize(self));
    if (!object)
        abort();
    object_setClass(object, self);
    object->referenceCount = 1;
    enlist(object);
    return object;
}
+ (id) new
{
    return [[self alloc] init];
}
+ (Class)class
{
    return self;
}
+ (void)initialize
{
    if (self != objc_getClass("NSObject"))
        return;
    released_class = objc_getClass("FakeReleased");
    pool_class = objc_getClass("NSAutoreleasePool");
}
+ (id)retain
{
    return (id)self;
}
+ (void)release
{
}
- (id)init
{
    return self;
}
- (id)retain
{
    __atomic_fetch_add(&referenceCount, 1, __ATOMIC_RELAXED);
    return self;
}
- (void)release
{
    unsigned before = __atomic_fetch_sub(&referenceCount, 1, __ATOMIC_ACQ_REL);
    REFUSE_IF(before == 0, "released more often than retained");
    if (before == 1)
        [self dealloc];
}
- (id)autorelease
{
    NSAutoreleasePool *pool = innermost_pool;
    REFUSE_IF(!pool, "autoreleased on a thread without a pool: it would never be freed");
    if (pool->count == pool->capacity) {
        pool->capacity = pool->capacity * 2 + 8;
        pool->objects = realloc(pool->objects, pool->capacity * sizeof *pool->objects);
        if (!pool->objects)
            abort();
    }
    return pool->objects[pool->count++] = self;
}
- (NSUInteger)retainCount
{
    return referenceCount;
}
- (void)dealloc
{
    bury(self);
}
- (Class)class
{
    return object_getClass(self);
}
- (BOOL)isKindOfClass:(Class)class
{
    return is_kind_of(object_getClass(self), class);
}
- (BOOL)respondsToSelector:(SEL)selector
{
    return class_respondsToSelector(object_getClass(self), selector) != 0;
}
@end

/* ---- Autorelease pools ------------------------------------------------------------------------ */

static pthread_key_t pool_key;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *pool)
{
    if (innermost_pool)
        fake_misuse(pool, NULL, "a thread ended with an autorelease pool open");
}

static void make_pool_key(void)
{
    pthread_key_create(&pool_key, thread_ends);
}

@implementation NSAutoreleasePool
- (id)init
{
    pthread_once(&pool_once, make_pool_key);
    pthread_setspecific(pool_key, self);
    outer = innermost_pool;
    innermost_pool = self;
    thread = pthread_self();
    return self;
}
- (id)autorelease
{
    fake_misuse(self, _cmd, "a pool cannot be autoreleased");
}
- (id)retain
{
    fake_misuse(self, _cmd, "a pool cannot be retained");
}
- (void)drain
{
    [self release];
}
- (void)dealloc
{
    REFUSE_IF(!pthread_equal(thread, pthread_self()), "drained on another thread");
    REFUSE_IF(innermost_pool != self, "drained while an inner pool is open");
    while (count > 0)
        [objects[--count] release];
    free(objects);
    innermost_pool = outer;
    [super dealloc];
}
@end

void *objc_autoreleasePoolPush(void)
{
    if (fake_get(FAKE_SILENT))
        return &innermost_pool;
    return [[NSAutoreleasePool alloc] init];
}

void objc_autoreleasePoolPop(void *pool)
{
    if (pool == &innermost_pool)
        return;
    fake_check_object(nil, NULL, "objc_autoreleasePoolPop: pool", pool, [NSAutoreleasePool class]);
    [(NSAutoreleasePool *)pool drain];
}

id objc_retain(id object)
{
    if (object && fake_is_released(object))
        answer_unknown(object, @selector(retain));
    return [object retain];
}

void objc_release(id object)
{
    if (object && fake_is_released(object))
        answer_unknown(object, @selector(release));
    [object release];
}

/*
 * Apple's compiler encodes a block argument as @?, which GCC cannot. These two methods take one as their last
 * argument; for them the runtime's answer is put right on its way to whoever asks.
 */
struct objc_method_description protocol_getMethodDescription(Protocol *protocol, SEL selector, fake_objc_bool required,
                                                             fake_objc_bool instance)
{
    static struct objc_method_description (*real)(Protocol *, SEL, fake_objc_bool, fake_objc_bool);
    static char handler[] = "v24@0:8@?16", no_copy[] = "@48@0:8^v16Q24Q32@?40";
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "protocol_getMethodDescription");
    struct objc_method_description found = real(protocol, selector, required, instance);
    if (found.types && strcmp(sel_getName(selector), "addCompletedHandler:") == 0)
        found.types = handler;
    if (found.types && strcmp(sel_getName(selector), "newBufferWithBytesNoCopy:length:options:deallocator:") == 0)
        found.types = no_copy;
    return found;
}
