// Tells Helgrind and DRD what the reference counts of std::shared_ptr order: libstdc++ has places for that, which say nothing unless
// they are defined, before any of its headers is read. Pass to the compiler with -include.
#pragma once

#include <valgrind/helgrind.h>

#define _GLIBCXX_SYNCHRONIZATION_HAPPENS_BEFORE(address) ANNOTATE_HAPPENS_BEFORE(address)
#define _GLIBCXX_SYNCHRONIZATION_HAPPENS_AFTER(address) ANNOTATE_HAPPENS_AFTER(address)
