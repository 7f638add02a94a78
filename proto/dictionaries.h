/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dictionaries of the record (hallmark-record(5), Dictionaries), which are compiled in: whoever verifies has every one
 * that there ever was. The Makefile makes the table of proto/dictionaries/, where each is the file named by its number.
 * tests/dictionary/make writes the next one, and none that a release had is ever changed.
 */
#ifndef HALLMARK_PROTO_DICTIONARIES_H
#define HALLMARK_PROTO_DICTIONARIES_H

#include "agent/base/bytes.h"

/* By number, without a gap; 0 is none, and empty. The last is what is written with. */
extern const struct bytes dictionaries[];
extern const unsigned n_dictionaries;

#endif
