/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer.m: MTLBuffer. Shared storage is one piece of memory; managed storage has a host copy and a device copy
 * that meet only through didModifyRange: and synchronizeResource:; private storage has no contents.
 */
#include "metal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

@implementation FakeBuffer
- (id)initOn:(FakeDevice *)on length:(NSUInteger)bytesLong options:(NSUInteger)chosen over:(void *)memory
{
    device = [on retain];
    length = bytesLong;
    options = chosen;
    owns_bytes = memory == NULL;
    bytes = memory ? memory : calloc(1, bytesLong);
    const NSUInteger storage = options & FAKE_STORAGE_MASK;
    if (bytes && storage == FAKE_STORAGE_SHARED)
        host_bytes = bytes;
    else if (bytes && storage == FAKE_STORAGE_MANAGED)
        host_bytes = calloc(1, bytesLong);
    pthread_mutex_init(&lock, NULL);
    fake_count(&fake_totals.buffer_bytes_live, length);
    if (!bytes || (storage == FAKE_STORAGE_MANAGED && !host_bytes)) {
        [self release];
        return nil;
    }
    return self;
}
- (void)dealloc
{
    REFUSE_IF(in_flight > 0, "freed while %u command buffers use it", in_flight);
    if (host_bytes && host_bytes != bytes)
        free(host_bytes);
    if (owns_bytes)
        free(bytes);
    else if (deallocator)
        deallocator(deallocator_block, bytes, length);
    pthread_mutex_destroy(&lock);
    fake_count(&fake_totals.buffer_bytes_live, -(uint64_t)length);
    [device release];
    [super dealloc];
}
- (FakeDevice *)device
{
    return device;
}
- (NSUInteger)length
{
    return length;
}
- (NSUInteger)storageMode
{
    return (options & FAKE_STORAGE_MASK) >> 4;
}
- (NSUInteger)resourceOptions
{
    return options;
}
- (NSUInteger)allocatedSize
{
    return length;
}
- (uint64_t)gpuAddress
{
    return (uint64_t)(uintptr_t)bytes;
}
- (void *)contents
{
    return host_bytes;
}
- (void)didModifyRange:(NSRange)range
{
    REFUSE_IF((options & FAKE_STORAGE_MASK) != FAKE_STORAGE_MANAGED, "storage is not managed");
    REFUSE_IF(range.length > length || range.location > length - range.length, "range %lu+%lu of %lu bytes",
              range.location, range.length, length);
    memcpy(bytes + range.location, host_bytes + range.location, range.length);
}
- (void)setLabel:(NSString *)text
{
    fake_check_object(self, _cmd, "label", text, [NSString class]);
}
@end
