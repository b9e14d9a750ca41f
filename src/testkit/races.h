/* races.h - the cases in which several threads use a storage at once. */
#ifndef TARN_TESTKIT_RACES_H
#define TARN_TESTKIT_RACES_H

#include "kit.h"

void tarn__kit_race_to_commit(tarn__kit *k);
void tarn__kit_race_to_read(tarn__kit *k);
void tarn__kit_race_of_directories(tarn__kit *k);

#endif
