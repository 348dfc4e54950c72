/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_write.c: what is written reads back the same, and a file appears whole or not at all. Runs in a folder of
 * its own, so that left-overs are seen.
 */
#include "files.h"

#include "seeded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static anymps_device *device;

static const anymps_dtype dtypes[] = {
    ANYMPS_DTYPE_U8,  ANYMPS_DTYPE_U16,  ANYMPS_DTYPE_U32,  ANYMPS_DTYPE_U64, ANYMPS_DTYPE_I8,
    ANYMPS_DTYPE_I16, ANYMPS_DTYPE_I32,  ANYMPS_DTYPE_I64,  ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32,
    ANYMPS_DTYPE_F64, ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_BOOL,
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *const folder = opendir(".");
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.' || strncmp(entry->d_name, ".anymps", 7) == 0 ? 1 : 0;
    }
    (void)closedir(folder);
    return count;
}

/* A matrix of random bytes, the padding of its rows and matrices too; storage as the seed likes. */
static anymps_matrix *random_matrix(seeded *random, anymps_dtype dtype)
{
    const size_t element = anymps_dtype_bytes(dtype);
    anymps_matrix_desc desc = ANYMPS_MATRIX_DESC_INIT;
    size_t needed = 0;
    desc.rows = seeded_below(random, 40);
    desc.columns = seeded_below(random, 9) == 0 ? 70000 / element : seeded_below(random, 40);
    desc.matrices = 1 + seeded_below(random, 3);
    desc.row_bytes = (desc.columns + seeded_below(random, 3)) * element;
    desc.matrix_bytes = (desc.rows + seeded_below(random, 2)) * desc.row_bytes;
    desc.dtype = dtype;
    EXPECT_OK(anymps_matrix_desc_resolve(&desc, &needed));
    const size_t offset = seeded_below(random, 3) * element, total = offset + needed + 1;
    unsigned char *const bytes = malloc(total);
    for (size_t i = 0; i < total; i++) {
        bytes[i] = (unsigned char)(seeded_next(random) & (dtype == ANYMPS_DTYPE_BOOL ? 1 : 0xff));
    }
    anymps_buffer *buffer = NULL;
    anymps_matrix *matrix = NULL;
    EXPECT_OK(anymps_buffer_create_with_bytes(device, bytes, total, (anymps_storage)seeded_below(random, 3), &buffer));
    EXPECT_OK(anymps_matrix_create(buffer, offset, &desc, &matrix));
    anymps_buffer_release(buffer);
    free(bytes);
    return matrix;
}

/* bf16 as the bits of f32 (a signalling NaN becomes quiet, as in every conversion), everything else as it is: what
   .npy is to hold. */
static void widen_element(const unsigned char *from, anymps_dtype dtype, unsigned char *to)
{
    const size_t element = anymps_dtype_bytes(dtype);
    memset(to, 0, 8);
    memcpy(to + (dtype == ANYMPS_DTYPE_BF16 ? 2 : 0), from, element);
    if (dtype == ANYMPS_DTYPE_BF16 && (to[3] & 0x7f) == 0x7f && (to[2] & 0x80) != 0 && (to[2] & 0x7f) != 0) {
        to[2] |= 0x40;
    }
}

/* Are the elements of the two the same bits? `tight` was read back. */
static bool same_elements(const anymps_matrix *matrix, const anymps_matrix *tight)
{
    const anymps_matrix_desc a = anymps_matrix_get_desc(matrix), b = anymps_matrix_get_desc(tight);
    const size_t a_bytes = anymps_dtype_bytes(a.dtype), b_bytes = anymps_dtype_bytes(b.dtype);
    bool same = a.rows == b.rows && a.columns == b.columns && a.matrices == b.matrices;
    unsigned char *const row = malloc(a.columns * a_bytes + 1);
    const size_t rows = a.columns == 0 ? 0 : a.matrices * a.rows;
    for (size_t k = 0; k < rows && same; k++) {
        const size_t m = k / a.rows, i = k % a.rows;
        const size_t begin = anymps_matrix_offset_bytes(matrix) + m * a.matrix_bytes + i * a.row_bytes;
        const unsigned char *const read =
            (const unsigned char *)anymps_matrix_contents(tight) + m * b.matrix_bytes + i * b.row_bytes;
        EXPECT_OK(anymps_buffer_read(anymps_matrix_buffer(matrix), begin, row, a.columns * a_bytes));
        for (size_t j = 0; j < a.columns && same; j++) {
            unsigned char wanted[8] = {0}, seen[8] = {0};
            if (a.dtype == b.dtype) {
                memcpy(wanted, row + j * a_bytes, a_bytes);
            } else {
                widen_element(row + j * a_bytes, a.dtype, wanted);
            }
            memcpy(seen, read + j * b_bytes, b_bytes);
            same = memcmp(wanted, seen, 8) == 0;
        }
    }
    free(row);
    return same;
}

static void check_npy_identity(void)
{
    for (size_t i = 0; i < 20 * DTYPE_COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "npy %zu", i);
        seeded random = seeded_from_text(name);
        anymps_matrix *const matrix = random_matrix(&random, dtypes[i % DTYPE_COUNT]);
        anymps_matrix *back = NULL;
        anymps_file *file = NULL;
        bool transposed = true;
        const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
        EXPECT_OK(anymps_npy_write("identity.npy", matrix));
        EXPECT_OK(anymps_file_open("identity.npy", &file));
        anymps_load_desc load = ANYMPS_LOAD_DESC_INIT;
        load.forbid_copy = true; /* the elements are aligned in the file */
        EXPECT_OK(anymps_file_load_matrix(file, 0, device, &load, &back, &transposed));
        const anymps_dtype wanted = d.dtype == ANYMPS_DTYPE_BF16 ? ANYMPS_DTYPE_F32 : d.dtype;
        const bool same = !transposed && anymps_matrix_get_desc(back).dtype == wanted && same_elements(matrix, back);
        (void)expect_true(same, __FILE__, __LINE__, "%s: %zu matrices of %zu x %zu %s differ", name, d.matrices, d.rows,
                          d.columns, anymps_dtype_name(d.dtype));
        anymps_matrix_release(back);
        anymps_matrix_release(matrix);
        anymps_file_release(file);
    }
    (void)unlink("identity.npy");
}

static void check_vectors(void)
{
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    anymps_buffer *buffer = NULL;
    EXPECT_OK(anymps_buffer_create_with_bytes(device, values, sizeof values, ANYMPS_STORAGE_SHARED, &buffer));
    for (size_t count = 1; count <= 2; count++) {
        anymps_vector_desc desc = anymps_vector_desc_make(2, ANYMPS_DTYPE_F32);
        anymps_vector *vector = NULL;
        anymps_file *file = NULL;
        anymps_file_tensor tensor = ANYMPS_FILE_TENSOR_INIT;
        anymps_vector *back = NULL;
        desc.vectors = count;
        desc.vector_bytes = 12;
        EXPECT_OK(anymps_vector_create(buffer, 4, &desc, &vector));
        EXPECT_OK(anymps_npy_write_vector("vector.npy", vector));
        EXPECT_OK(anymps_file_open("vector.npy", &file));
        EXPECT_OK(anymps_file_get_tensor(file, 0, &tensor));
        EXPECT(tensor.rank == count && tensor.shape[tensor.rank - 1] == 2);
        EXPECT_OK(anymps_file_load_vector(file, 0, device, NULL, &back));
        const float *const seen = anymps_vector_contents(back);
        EXPECT(seen[0] == 2.0f && seen[1] == 3.0f && (count == 1 || (seen[2] == 5.0f && seen[3] == 6.0f)));
        anymps_vector_release(back);
        anymps_vector_release(vector);
        anymps_file_release(file);
    }
    anymps_buffer_release(buffer);
    (void)unlink("vector.npy");
}

static void check_safetensors_identity(void)
{
    static const char *const names[DTYPE_COUNT] = {"u8",  "u16", "u32", "u64", "i8",           "i16", "i32",
                                                   "i64", "f16", "f32", "",    "schön \"\\\n", "bool"};
    anymps_matrix *matrices[DTYPE_COUNT];
    anymps_safetensors_entry entries[DTYPE_COUNT + 1] = {{0}};
    anymps_file *file = NULL;
    anymps_vector *vector = NULL;
    const anymps_vector_desc desc = anymps_vector_desc_make(3, ANYMPS_DTYPE_F32);
    seeded random = seeded_from_text("safetensors");
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        matrices[i] = random_matrix(&random, dtypes[i]);
        entries[i] = (anymps_safetensors_entry){names[i], matrices[i], NULL};
    }
    EXPECT_OK(anymps_vector_create_on(device, &desc, &vector));
    entries[DTYPE_COUNT] = (anymps_safetensors_entry){"vector", NULL, vector};
    EXPECT_OK(anymps_safetensors_write("identity.safetensors", entries, DTYPE_COUNT + 1));
    EXPECT_OK(anymps_file_open("identity.safetensors", &file));
    EXPECT(anymps_file_count(file) == DTYPE_COUNT + 1);
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        anymps_file_tensor tensor = ANYMPS_FILE_TENSOR_INIT;
        anymps_matrix *back = NULL;
        bool transposed = true;
        EXPECT_OK(anymps_file_get_tensor(file, i, &tensor));
        EXPECT(strcmp(tensor.name, names[i]) == 0 && tensor.dtype == dtypes[i]); /* in the given order */
        EXPECT_OK(anymps_file_load_matrix(file, i, device, NULL, &back, &transposed));
        (void)expect_true(same_elements(matrices[i], back), __FILE__, __LINE__, "'%s' differs", names[i]);
        anymps_matrix_release(back);
        anymps_matrix_release(matrices[i]);
    }
    anymps_file_release(file);
    EXPECT_OK(anymps_safetensors_write("identity.safetensors", NULL, 0));
    EXPECT_OK(anymps_file_open("identity.safetensors", &file));
    EXPECT(anymps_file_count(file) == 0);
    anymps_file_release(file);
    anymps_vector_release(vector);
    (void)unlink("identity.safetensors");
}

static void check_bad_calls(anymps_matrix *matrix, anymps_vector *vector)
{
    const anymps_safetensors_entry twice[2] = {{"a", matrix, NULL}, {"a", NULL, vector}};
    const anymps_safetensors_entry both = {"a", matrix, vector}, neither = {"a", NULL, NULL},
                                   unnamed = {NULL, matrix, NULL};
    const anymps_safetensors_entry reserved = {"__metadata__", matrix, NULL}, garbled = {"\xf5", matrix, NULL};
    const anymps_safetensors_entry wrong = {"a", (anymps_matrix *)(void *)vector, NULL};
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_npy_write(NULL, matrix));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_npy_write("bad.npy", NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_npy_write("bad.npy", (anymps_matrix *)(void *)vector));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_npy_write_vector(NULL, vector));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_npy_write_vector("bad.npy", NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write(NULL, twice, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", NULL, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", twice, 2));
    EXPECT_MESSAGE("'a' is given twice");
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", &both, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", &neither, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", &unnamed, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", &reserved, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", &garbled, 1));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_safetensors_write("bad", &wrong, 1));
    EXPECT_STATUS(ANYMPS_IO, anymps_npy_write("no/such/folder.npy", matrix));
    EXPECT(anymps_last_error()->backend_code == ENOENT);
    EXPECT_STATUS(ANYMPS_IO, anymps_npy_write(".", matrix));
    EXPECT_STATUS(ANYMPS_IO, anymps_npy_write("/dev/full", matrix)); /* no Mac has it: ENOENT or EACCES then */
    EXPECT(files_in_folder() == 0);
}

/* A disk that fills up midway: the old file stays as it was and nothing else is left. */
static void check_whole_or_not_at_all(anymps_matrix *matrix)
{
    const char *const name = "whole.npy";
    struct rlimit old, small;
    size_t length = 0;
    EXPECT(write_whole(name, "old", 3) && chmod(name, 0640) == 0);
    EXPECT(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = old;
    small.rlim_cur = 300000; /* more than the first write, less than the file */
    (void)signal(SIGXFSZ, SIG_IGN);
    EXPECT(setrlimit(RLIMIT_FSIZE, &small) == 0);
    EXPECT_STATUS(ANYMPS_IO, anymps_npy_write(name, matrix));
    EXPECT(anymps_last_error()->backend_code == EFBIG);
    EXPECT(setrlimit(RLIMIT_FSIZE, &old) == 0);
    unsigned char *bytes = read_whole(name, &length);
    EXPECT(length == 3 && memcmp(bytes, "old", 3) == 0 && files_in_folder() == 1);
    free(bytes);
    /* With room it is replaced, and keeps its permissions. */
    struct stat about;
    EXPECT_OK(anymps_npy_write(name, matrix));
    EXPECT(stat(name, &about) == 0 && (about.st_mode & 0777) == 0640 && about.st_size > 300000 &&
           files_in_folder() == 1);
    (void)unlink(name);
    /* A name of the greatest length is as good as any. */
    char longest[256];
    memset(longest, 'n', sizeof longest - 1);
    longest[255] = '\0';
    EXPECT_OK(anymps_npy_write(longest, matrix));
    (void)unlink(longest);
    EXPECT(files_in_folder() == 0);
}

/* A device file is written straight: a rename would replace it. */
static void check_device_file(anymps_matrix *matrix)
{
    struct stat about;
    EXPECT_OK(anymps_npy_write("/dev/null", matrix));
    EXPECT(stat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));
}

/* A symbolic link stays and what it names is replaced; a link to nothing is replaced itself. /dev/stdout is such a link,
   and where it leads to a file it is written, never renamed over. */
static void check_link(anymps_matrix *matrix)
{
    struct stat link_about, about;
    EXPECT(write_whole("named.npy", "old", 3) && symlink("named.npy", "link.npy") == 0);
    EXPECT_OK(anymps_npy_write("link.npy", matrix));
    EXPECT(lstat("link.npy", &link_about) == 0 && S_ISLNK(link_about.st_mode));
    EXPECT(lstat("named.npy", &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 300000);
    EXPECT(files_in_folder() == 2);
    const off_t whole = about.st_size;
    (void)unlink("named.npy");
    EXPECT_OK(anymps_npy_write("link.npy", matrix));
    EXPECT(lstat("link.npy", &about) == 0 && S_ISREG(about.st_mode) && files_in_folder() == 1);
    (void)unlink("link.npy");
    const int opened = open("opened.npy", O_WRONLY | O_CREAT, 0600);
    char name[32];
    (void)snprintf(name, sizeof name, "/dev/fd/%d", opened);
    EXPECT(opened >= 0 && fstat(opened, &link_about) == 0);
    EXPECT_OK(anymps_npy_write(name, matrix));
    EXPECT(stat("opened.npy", &about) == 0 && about.st_ino == link_about.st_ino && about.st_size == whole);
    (void)close(opened);
    (void)unlink("opened.npy");
    EXPECT(files_in_folder() == 0);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    const anymps_matrix_desc large = anymps_matrix_desc_make(300, 500, ANYMPS_DTYPE_F32);
    const anymps_vector_desc few = anymps_vector_desc_make(3, ANYMPS_DTYPE_F32);
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    char folder[] = "write-XXXXXX";
    EXPECT(mkdtemp(folder) != NULL && chdir(folder) == 0);
    desc.id = "cpu";
    EXPECT_OK(anymps_device_open(&desc, &device));
    EXPECT_OK(anymps_matrix_create_on(device, &large, &matrix));
    EXPECT_OK(anymps_vector_create_on(device, &few, &vector));
    check_npy_identity();
    check_vectors();
    check_safetensors_identity();
    check_bad_calls(matrix, vector);
    check_whole_or_not_at_all(matrix);
    check_device_file(matrix);
    check_link(matrix);
    anymps_matrix_release(matrix);
    anymps_vector_release(vector);
    anymps_device_release(device);
    EXPECT_NOTHING_LIVE();
    EXPECT(chdir("..") == 0 && rmdir(folder) == 0);
    return expect_result("write");
}
