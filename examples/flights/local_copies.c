#include "local_copies.h"

#include <stdio.h>
#include <string.h>

#include "failure.h"

static const char enabled_key[] = "execution.checkpointing.local-backup.enabled";
static const char directories_key[] = "execution.checkpointing.local-backup.dirs";

/* All spellings, as the configuration reads them. */
static const char *const keys[] = {
    enabled_key,
    "execution.state-recovery.from-local",
    "state.backend.local-recovery",
    directories_key,
    "taskmanager.state.local.root-dirs",
};

/* Copies are hard links: they lie where the working directory does, on one file system. */
static tarn_status choose_directory(
    local_copies *c, const char *work_dir, const tarn_config *config, tarn_error *error)
{
    const char *directory = NULL;
    const tarn_status found =
        tarn_config_get_string(config, directories_key, &directory, NULL, error);
    if (found == TARN_NOT_FOUND) {
        directory = work_dir;
    } else if (found != TARN_OK) {
        return found;
    }
    if (*directory == '\0' || strlen(directory) >= PATH_MAX - 64 ||
        strpbrk(directory, ",") != NULL) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "%s is \"%.200s\", it wants one directory, on the file system of --work-dir",
            directories_key,
            directory);
    }
    snprintf(c->directory, sizeof c->directory, "%s", directory);
    return TARN_OK;
}

tarn_status local_copies_configure(
    local_copies *c, const char *work_dir, tarn_config *config, tarn_error *error)
{
    bool is_wanted = false;
    TRY(tarn_config_get_bool(config, enabled_key, &is_wanted, NULL, error));
    if (is_wanted) {
        TRY(choose_directory(c, work_dir, config, error));
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            tarn_config_remove(config, keys[i]);
        }
    }
    return TARN_OK;
}

const char *local_copies_path(const local_copies *c, uint32_t worker, char out[PATH_MAX + 32])
{
    if (c->directory[0] == '\0') {
        return NULL;
    }
    snprintf(out, PATH_MAX + 32, "%s/copy-%u", c->directory, worker);
    return out;
}
