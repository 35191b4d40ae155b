/* SPDX-License-Identifier: GPL-2.0 */
/* What all programs share. */
#ifndef SEAWALL_H
#define SEAWALL_H

#include "records.h"
#include "maps.h"
#include "read.h"
#include "path.h"
#include "send.h"

#endif
