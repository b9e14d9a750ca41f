/*
 * xml.h - the leaves of a small XML document, with limits. Pure but for expat's own memory.
 *
 * A document type, an entity of its own, depth beyond 16 or a text beyond 8 KiB is refused: the
 * replies that are read here have none of them.
 *
 * Thread: pure.
 */
#ifndef TARN_STORAGE_XML_H
#define TARN_STORAGE_XML_H

#include "tarn/bytes.h"

enum {
    TARN__XML_DEPTH_MAX = 16,
    TARN__XML_NAME_BYTES = 64, /* Longer names are cut. */
    TARN__XML_TEXT_BYTES = 8 << 10,
};

/*
 * Called at the end of each element, inner ones first. text may be changed; it is what stands
 * directly in the element. False stops the reading, which then fails.
 *
 * parent  "" for the root.
 */
typedef bool tarn__xml_visit(
    const char *parent, const char *name, char *text, size_t size, void *context);

/* False: the bytes are no such document, a limit was met, or the visit refused. */
bool tarn__xml_read(tarn_bytes document, tarn__xml_visit *visit, void *context);

#endif
