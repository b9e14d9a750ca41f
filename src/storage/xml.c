/* xml.c - see xml.h. */
#include "storage/xml.h"

#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    XML_Parser parser;
    tarn__xml_visit *visit;
    void *context;
    uint32_t depth;
    char names[TARN__XML_DEPTH_MAX + 1][TARN__XML_NAME_BYTES]; /* names[0]: above the root. */
    size_t size;
    char text[TARN__XML_TEXT_BYTES + 1];
} reader;

static void stop(reader *r)
{
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    reader *r = context;
    if (r->depth == TARN__XML_DEPTH_MAX) {
        stop(r);
        return;
    }
    r->depth++;
    snprintf(r->names[r->depth], TARN__XML_NAME_BYTES, "%s", name);
    r->size = 0;
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    (void)name;
    reader *r = context;
    r->text[r->size] = '\0';
    const bool goes_on =
        r->visit(r->names[r->depth - 1], r->names[r->depth], r->text, r->size, r->context);
    r->depth--;
    r->size = 0;
    if (!goes_on) {
        stop(r);
    }
}

static void XMLCALL on_text(void *context, const XML_Char *text, int size)
{
    reader *r = context;
    if (size < 0 || (size_t)size > TARN__XML_TEXT_BYTES - r->size) {
        stop(r);
        return;
    }
    memcpy(r->text + r->size, text, (size_t)size);
    r->size += (size_t)size;
}

static void XMLCALL on_type(
    void *context,
    const XML_Char *name,
    const XML_Char *system_id,
    const XML_Char *public_id,
    int has_internal)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal;
    stop(context);
}

bool tarn__xml_read(tarn_bytes document, tarn__xml_visit *visit, void *context)
{
    if (document.size == 0 || document.size > INT_MAX) {
        return false;
    }
    reader r = {.visit = visit, .context = context};
    r.parser = XML_ParserCreate("UTF-8");
    if (r.parser == NULL) {
        return false;
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_type);
    const enum XML_Status status =
        XML_Parse(r.parser, document.data, (int)document.size, /* isFinal= */ 1);
    XML_ParserFree(r.parser);
    return status == XML_STATUS_OK;
}
