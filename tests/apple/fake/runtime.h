/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime.h: the root class, Foundation's minimum, misuse reports and options, for the other files of the
 * stand-in. Declares in our own words the little of Apple's runtime that the Metal backend speaks to.
 *
 * Runs on GCC's libobjc without any Foundation. Shares no code with src/.
 */
#ifndef FAKE_RUNTIME_H
#define FAKE_RUNTIME_H

#include <objc/objc.h>
#include <objc/runtime.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake.h"

/* BOOL as on macOS: bool on arm64, signed char on x86-64, so that encodings and widths are the same. */
#if defined(__aarch64__)
typedef bool fake_bool;
#else
typedef signed char fake_bool;
#endif
typedef BOOL fake_objc_bool; /* as GCC's own headers have it */
#define BOOL fake_bool

typedef unsigned long NSUInteger;
typedef long NSInteger;
typedef double CFTimeInterval;
typedef struct _NSRange {
    NSUInteger location;
    NSUInteger length;
} NSRange;
typedef struct {
    NSInteger majorVersion;
    NSInteger minorVersion;
    NSInteger patchVersion;
} NSOperatingSystemVersion;

/* Ends the process with "fake metal: class selector: reason"; the one answer to every misuse. */
_Noreturn void fake_misuse(id receiver, SEL selector, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define REFUSE_IF(condition, ...)                                                                                      \
    do {                                                                                                               \
        if (condition)                                                                                                 \
            fake_misuse(self, _cmd, __VA_ARGS__);                                                                      \
    } while (0)

/* A BOOL that is neither 0 nor 1 is an integer of the wrong width or meaning. */
void fake_check_bool(id receiver, SEL selector, fake_bool value);
/* A size beyond 2^46 is a negative number or an argument in the wrong place. */
void fake_check_size(id receiver, SEL selector, const char *what, NSUInteger value);
/* nil, released, or of another class: misuse. */
void fake_check_object(id receiver, SEL selector, const char *what, id object, Class class);
/* Counts one creation; true when this one has been told to fail. */
bool fake_creation_fails(void);
bool fake_is_released(id object);
/* At the end of the process: what the devices, which stay, hold (device.m). */
void fake_release_devices(void);

/* Waits for the threads of queues that were freed on them (command.m). */
void fake_join_queues(void);

/* Counts an option down; true when it reaches 0 by this. */
bool fake_counts_down(fake_option option);

/* What the process did; the fields of one thread and `objects_live` are kept elsewhere. */
extern fake_counts fake_totals;

/* GCC's Objective-C has no _Atomic: its builtins on plain integers serve. */
static inline void fake_count(uint64_t *counter, uint64_t change)
{
    __atomic_fetch_add(counter, change, __ATOMIC_RELAXED);
}
/* Takes a flag; true if somebody else has it. Relaxed: the order of two threads is the caller's business. */
static inline bool fake_take(bool *flag)
{
    return __atomic_exchange_n(flag, true, __ATOMIC_RELAXED);
}
static inline void fake_give(bool *flag)
{
    __atomic_store_n(flag, false, __ATOMIC_RELAXED);
}

/*
 * Locks of the stand-in's own book-keeping. ThreadSanitizer takes an unlock and the next lock for an order between two
 * threads; every object made would then excuse a race in the library, for which Metal gives no such order. So these
 * locks, and what they guard, are hidden from it.
 */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif
static inline void fake_lock_hidden(pthread_mutex_t *lock)
{
#ifdef __SANITIZE_THREAD__
    AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
    pthread_mutex_lock(lock);
}
static inline void fake_unlock_hidden(pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
#ifdef __SANITIZE_THREAD__
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
#endif
}

__attribute__((objc_root_class))
@interface NSObject {
  @public
    Class isa;
    unsigned referenceCount;
    NSObject *newer, *older; /* the list of living objects */
    Class former;            /* of a released one */
}
+ (id)alloc;
+ (id)new;
+ (Class)class;
+ (void)initialize;
+ (id)retain;
+ (void)release;
- (id)init;
- (id)retain;
- (void)release;
- (id)autorelease;
- (NSUInteger)retainCount;
- (void)dealloc;
- (Class)class;
- (BOOL)isKindOfClass:(Class)class;
- (BOOL)respondsToSelector:(SEL)selector;
@end

@interface NSAutoreleasePool : NSObject {
  @public
    NSAutoreleasePool *outer;
    id *objects;
    size_t count, capacity;
    pthread_t thread;
}
- (void)drain;
@end

@interface NSString : NSObject {
  @public
    char *text;
}
+ (id)stringWithUTF8String:(const char *)utf8;
- (id)initWithUTF8String:(const char *)utf8;
- (const char *)UTF8String;
- (NSUInteger)length;
- (BOOL)isEqualToString:(NSString *)other;
@end

@interface NSArray : NSObject {
  @public
    id *items;
    NSUInteger itemCount;
}
- (id)initWithObjects:(const id *)objects count:(NSUInteger)count;
- (NSUInteger)count;
- (id)objectAtIndex:(NSUInteger)index;
@end

@interface NSData : NSObject {
  @public
    void *data;
    NSUInteger dataLength;
}
+ (id)dataWithBytes:(const void *)bytes length:(NSUInteger)length;
- (id)initWithBytes:(const void *)bytes length:(NSUInteger)length;
- (const void *)bytes;
- (NSUInteger)length;
@end

@interface NSError : NSObject {
  @public
    NSInteger errorCode;
    NSString *errorDomain;
    NSString *errorText;
}
+ (id)errorWithText:(const char *)text domain:(const char *)domain code:(NSInteger)code;
- (NSInteger)code;
- (NSString *)domain;
- (NSString *)localizedDescription;
@end

@interface NSProcessInfo : NSObject
+ (id)processInfo;
- (NSOperatingSystemVersion)operatingSystemVersion;
- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)version;
@end

#endif /* FAKE_RUNTIME_H */
