// Pin-like cells, on one thread: Pinned<T> holds a T that cannot move; PinCell<T> lends a T out, one writer or many readers,
// checked when it happens; PinRc<T> and PinWeak<T> share one pinned T.
#pragma once

#include "assay/audited/pin.hpp"
