// The one file of the test program that replaces operator new and delete, so that tests can count and fail allocations.
#include "assay_testkit/allocation_counter_operators.hpp"
