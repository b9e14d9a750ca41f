/* test_task.c - a task held behind its last barrier stays so when an elder checkpoint fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "event_loop/task.h"
#include "flights/operator_state.h"

enum { ELDER = 9, LAST = 10 };

static bool has_bytes(const tarn_buffer *part, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + size <= part->size; i++) {
        if (memcmp(part->data + i, bytes, size) == 0) {
            return true;
        }
    }
    return false;
}

/* What the task has counted in the end is what the part of its last barrier says. */
int main(void)
{
    int mails[2];
    check_system(pipe(mails) == 0, "pipe");
    task t = {.mail_fd = mails[1]};
    task_start(&t);
    task_tell(&t, (order){.is_barrier = true, .is_last = true, .checkpoint_id = LAST});
    mail letter;
    check_system(read(mails[0], &letter, sizeof letter) == sizeof letter, "mail");
    task_tell(&t, (order){.checkpoint_id = ELDER});
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL); /* For what it is not to do. */
    task_stop(&t);

    uint8_t state[TASK_STATE_BYTES];
    operator_state_write((uint64_t[]){t.position, t.sum}, 2, state);
    const bool is_held =
        letter.event.kind == TARN_COORDINATOR_ACK && has_bytes(&letter.part, state, sizeof state);
    tarn_buffer_clear(&letter.part);
    close(mails[0]);
    close(mails[1]);
    if (!is_held) {
        fputs("the task has counted behind its last barrier\n", stderr);
    }
    return is_held ? EXIT_SUCCESS : EXIT_FAILURE;
}
