/* links.c - see links.h. */
#include "state/links.h"

void tarn__links_init(tarn__links *links)
{
    *links = (tarn__links){.is_retired = false};
    (void)pthread_mutex_init(&links->mutex, NULL);
    (void)pthread_cond_init(&links->removed, NULL);
}

void tarn__links_clear(tarn__links *links)
{
    (void)pthread_cond_destroy(&links->removed);
    (void)pthread_mutex_destroy(&links->mutex);
}

static void set_retired(tarn__links *links, bool is_retired)
{
    (void)pthread_mutex_lock(&links->mutex);
    links->is_retired = is_retired;
    (void)pthread_cond_broadcast(&links->removed);
    (void)pthread_mutex_unlock(&links->mutex);
}

void tarn__links_retire(tarn__links *links)
{
    set_retired(links, true);
}

void tarn__links_note_removed(tarn__links *links)
{
    set_retired(links, false);
}

void tarn__links_await(tarn__links *links)
{
    (void)pthread_mutex_lock(&links->mutex);
    while (links->is_retired) {
        (void)pthread_cond_wait(&links->removed, &links->mutex);
    }
    (void)pthread_mutex_unlock(&links->mutex);
}
