/* env_children.c - what an environment does not close before: children, and work without an owner.
 */
#include <stdarg.h>
#include <stdio.h>

#include "env/env_private.h"

void tarn__env_adopt(tarn_env *env, tarn__env_child *child, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(child->name, sizeof child->name, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&env->mutex);
    atomic_store(&child->is_held, true);
    child->previous = NULL;
    child->next = env->children;
    if (env->children != NULL) {
        env->children->previous = child;
    }
    env->children = child;
    pthread_mutex_unlock(&env->mutex);
}

void tarn__env_disown(tarn_env *env, tarn__env_child *child)
{
    pthread_mutex_lock(&env->mutex);
    if (child->previous != NULL) {
        child->previous->next = child->next;
    } else {
        env->children = child->next;
    }
    if (child->next != NULL) {
        child->next->previous = child->previous;
    }
    pthread_mutex_unlock(&env->mutex);
}

void tarn__env_expect_end(tarn_env *env)
{
    pthread_mutex_lock(&env->mutex);
    env->expected_count++;
    pthread_mutex_unlock(&env->mutex);
}

void tarn__env_note_end(tarn_env *env)
{
    pthread_mutex_lock(&env->mutex);
    env->expected_count--;
    pthread_cond_broadcast(&env->ended);
    pthread_mutex_unlock(&env->mutex);
}

void tarn__env_await_ends(tarn_env *env)
{
    pthread_mutex_lock(&env->mutex);
    while (env->expected_count > 0) {
        pthread_cond_wait(&env->ended, &env->mutex);
    }
    pthread_mutex_unlock(&env->mutex);
    tarn__errands_await(env->errands); /* Of checkpoints that were given up. */
}
