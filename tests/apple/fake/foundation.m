/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foundation.m: strings, arrays, data, errors, process information: what the Metal backend needs of Foundation
 * and of blocks, nothing more. Used by all files of the stand-in.
 */
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

static void *copy_bytes(const void *bytes, size_t length)
{
    void *copy = malloc(length ? length : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, length);
    return copy;
}

@implementation NSString
+ (id)stringWithUTF8String:(const char *)utf8
{
    return [[[self alloc] initWithUTF8String:utf8] autorelease];
}
- (id)initWithUTF8String:(const char *)utf8
{
    REFUSE_IF(!utf8, "text is NULL");
    text = copy_text(utf8);
    return self;
}
- (const char *)UTF8String
{
    return text;
}
- (NSUInteger)length
{
    return strlen(text);
}
- (BOOL)isEqualToString:(NSString *)other
{
    fake_check_object(self, _cmd, "string", other, [NSString class]);
    return strcmp(text, other->text) == 0;
}
- (void)dealloc
{
    free(text);
    [super dealloc];
}
@end

@implementation NSArray
- (id)initWithObjects:(const id *)objects count:(NSUInteger)count
{
    items = copy_bytes(objects, count * sizeof(id));
    itemCount = count;
    for (NSUInteger i = 0; i < count; i++)
        [items[i] retain];
    return self;
}
- (NSUInteger)count
{
    return itemCount;
}
- (id)objectAtIndex:(NSUInteger)index
{
    REFUSE_IF(index >= itemCount, "index %lu of %lu", index, itemCount);
    return items[index];
}
- (void)dealloc
{
    for (NSUInteger i = 0; i < itemCount; i++)
        [items[i] release];
    free(items);
    [super dealloc];
}
@end

@implementation NSData
+ (id)dataWithBytes:(const void *)bytes length:(NSUInteger)length
{
    return [[[self alloc] initWithBytes:bytes length:length] autorelease];
}
- (id)initWithBytes:(const void *)bytes length:(NSUInteger)length
{
    fake_check_size(self, _cmd, "length", length);
    REFUSE_IF(!bytes && length, "bytes are NULL");
    data = copy_bytes(bytes, length);
    dataLength = length;
    return self;
}
- (const void *)bytes
{
    return data;
}
- (NSUInteger)length
{
    return dataLength;
}
- (void)dealloc
{
    free(data);
    [super dealloc];
}
@end

@implementation NSError
+ (id)errorWithText:(const char *)text domain:(const char *)domain code:(NSInteger)code
{
    NSError *error = [[self alloc] init];
    error->errorCode = code;
    error->errorText = [[NSString alloc] initWithUTF8String:text];
    error->errorDomain = [[NSString alloc] initWithUTF8String:domain];
    return [error autorelease];
}
- (NSInteger)code
{
    return errorCode;
}
- (NSString *)domain
{
    return errorDomain;
}
- (NSString *)localizedDescription
{
    return errorText;
}
- (void)dealloc
{
    [errorText release];
    [errorDomain release];
    [super dealloc];
}
@end

@implementation NSProcessInfo
+ (id)processInfo
{
    return [[[self alloc] init] autorelease];
}
- (NSOperatingSystemVersion)operatingSystemVersion
{
    return (NSOperatingSystemVersion){.majorVersion = (NSInteger)fake_get(FAKE_OS_MAJOR),
                                      .minorVersion = (NSInteger)fake_get(FAKE_OS_MINOR)};
}
- (BOOL)isOperatingSystemAtLeastVersion:(NSOperatingSystemVersion)version
{
    NSOperatingSystemVersion now = [self operatingSystemVersion];
    return now.majorVersion > version.majorVersion ||
           (now.majorVersion == version.majorVersion && now.minorVersion >= version.minorVersion);
}
@end

/* ---- Blocks ----------------------------------------------------------------------------------- */

/* Only the addresses count: a block's first word must be one of them. */
void *_NSConcreteGlobalBlock[32];
void *_NSConcreteStackBlock[32];
void *_NSConcreteMallocBlock[32];
