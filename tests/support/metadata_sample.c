/* metadata_sample.c - see metadata_sample.h. Nothing here may change: a golden file depends on it.
 */
#include "support/metadata_sample.h"

#include <assert.h>
#include <string.h>

static tarn__file_part file(const char *name, const char *path, bool is_shared, uint64_t size)
{
    tarn__file_part part = {
        .local_name = name,
        .path = path,
        .is_shared = is_shared,
        .content = {.size = size},
    };
    for (size_t i = 0; i < sizeof part.content.digest.bytes; i++) {
        part.content.digest.bytes[i] = (uint8_t)(size * 7 + i * 17);
    }
    return part;
}

static void fill_keyed(metadata_sample *s, uint32_t index)
{
    s->states[index][0] = (tarn__state_part){
        .name = "count", .kind = "value", .codec_name = "i64", .codec_version = 3};
    s->states[index][1] =
        (tarn__state_part){.name = "last/\xc3\xa9tat", .kind = "value", .codec_name = ""};
    s->files[index][0] = file("000012.sst", "shared/0e/0e1f-5000000000", true, 5000000000u);
    s->files[index][1] =
        file("CURRENT", index == 0 ? "chk-7/a-0/CURRENT" : "chk-7/a-1/CURRENT", false, 16);
    s->files[index][2] = file("MANIFEST-000005", "chk-7/a/MANIFEST-000005", false, 900);
    s->subtasks[index] = (tarn__subtask){
        .operator_name = "aircraft",
        .subtask_index = index,
        .parallelism = 2,
        .has_keyed_state = true,
        .key_hash = 1,
        .max_parallelism = 128,
        .key_groups = {.first = (uint16_t)(64 * index), .last = (uint16_t)(64 * index + 63)},
        .new_bytes = 916,
        .states = s->states[index],
        .files = s->files[index],
        .state_count = 2,
        .file_count = 3,
    };
}

void metadata_sample_init(metadata_sample *s)
{
    *s = (metadata_sample){
        .head =
            {
                .kind = TARN__METADATA_CHECKPOINT,
                .checkpoint_id = 7,
                .timestamp_ms = 1700000000123,
                .duration_ms = 456,
                .new_bytes = 1832,
                .job = "flights",
                .version = "0.1.0",
            },
    };
    fill_keyed(s, 0);
    fill_keyed(s, 1);
    s->pieces[0] = (tarn__piece_part){.name = "empty"};
    s->pieces[1] = (tarn__piece_part){.name = "position", .bytes = tarn_bytes_at("\0\1\2\xff", 4)};
    s->subtasks[2] = (tarn__subtask){
        .operator_name = "source",
        .parallelism = 1,
        .pieces = s->pieces,
        .piece_count = 2,
    };
}

static void pack(tarn__file_part *part, const char *path, uint64_t offset, uint64_t size)
{
    part->path = path;
    part->place = (tarn__place){.segment = {.size = size}, .offset = offset, .is_packed = true};
    for (size_t i = 0; i < sizeof part->place.segment.digest.bytes; i++) {
        part->place.segment.digest.bytes[i] = (uint8_t)(size * 3 + i * 29);
    }
}

void metadata_sample_pack(metadata_sample *s)
{
    pack(&s->files[0][1], "chk-7/a-0.segment", 0, 916);
    pack(&s->files[0][2], "chk-7/a-0.segment", 16, 916);
    pack(&s->files[1][0], "shared/1a/1a2b-5000000777", 777, 5000000777u);
}

static const char CURRENT[] = "MANIFEST-000005\n";

static void keep(tarn__file_part *part, tarn_bytes stored)
{
    const tarn_bytes raw = tarn_bytes_of(CURRENT);
    part->path = "";
    part->is_inline = true;
    part->content = (tarn__content){.size = raw.size, .digest = tarn__digest_of(raw)};
    part->inlined = stored;
}

/* So few bytes do not shrink: the frame is the same with any version of lz4. */
static tarn_bytes compress(metadata_sample *s)
{
    uint8_t frame[TARN__FRAME_HEAD_BYTES + sizeof CURRENT];
    tarn__frames_encode_header(TARN__CODEC_LZ4, s->compressed);
    size_t size = TARN__FRAMES_HEADER_BYTES;
    for (int i = 0; i < 2; i++) {
        const tarn_bytes raw = i == 0 ? tarn_bytes_of(CURRENT) : tarn_bytes_of("");
        const size_t frame_size = tarn__frame_encode(TARN__CODEC_LZ4, raw, frame);
        assert(size + frame_size <= sizeof s->compressed);
        memcpy(s->compressed + size, frame, frame_size);
        size += frame_size;
    }
    return tarn_bytes_at(s->compressed, size);
}

void metadata_sample_inline(metadata_sample *s)
{
    keep(&s->files[0][1], tarn_bytes_of(CURRENT));
    keep(&s->files[1][1], compress(s));
    s->files[1][1].codec = TARN__CODEC_LZ4;
    s->files[1][1].compressed_size = s->files[1][1].inlined.size;
    s->files[0][2].codec = TARN__CODEC_ZSTD;
    s->files[0][2].compressed_size = 300;
}

void metadata_sample_become(metadata_sample *s, tarn__metadata_kind kind)
{
    static const char *const natives[2][3] = {
        {"aircraft-0-a/000012.sst", "aircraft-0-a/CURRENT", "aircraft-0-a/MANIFEST-000005"},
        {"aircraft-1-b/000012.sst", "aircraft-1-b/CURRENT", "aircraft-1-b/MANIFEST-000005"},
    };
    static const char *const rows[] = {"00000.rows", "00001.rows", "00002.rows"};
    static const char *const canonicals[2][3] = {
        {"aircraft-0-a/00000.rows", "aircraft-0-a/00001.rows", "aircraft-0-a/00002.rows"},
        {"aircraft-1-b/00000.rows", "aircraft-1-b/00001.rows", "aircraft-1-b/00002.rows"},
    };
    s->head.kind = kind;
    if (kind == TARN__METADATA_ACKNOWLEDGEMENT) {
        s->head.timestamp_ms = 0;
        s->head.duration_ms = 0;
        s->head.job = "";
    }
    for (uint32_t i = 0; tarn__metadata_is_savepoint(kind) && i < 2; i++) {
        for (uint32_t j = 0; j < 3; j++) {
            static const char *const segments[] = {"aircraft-0-a.segment", "aircraft-1-b.segment"};
            const bool is_native = kind == TARN__METADATA_SAVEPOINT;
            s->files[i][j].is_shared = false;
            if (s->files[i][j].is_inline) {
                continue;
            }
            if (s->files[i][j].place.is_packed) {
                s->files[i][j].path = segments[i];
                continue;
            }
            s->files[i][j].path = is_native ? natives[i][j] : canonicals[i][j];
            s->files[i][j].local_name = is_native ? s->files[i][j].local_name : rows[j];
        }
    }
}

uint32_t metadata_sample_count(const metadata_sample *s)
{
    return s->head.kind == TARN__METADATA_ACKNOWLEDGEMENT ? 1 : SAMPLE_SUBTASKS;
}
