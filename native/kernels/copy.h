// Moving elements between strided views of one shape and dtype.
#pragma once
#include <cstdint>

#include "kernels/table.h"

namespace pb {

// dst = src. Any strides; those of src may be 0. The two are the same elements or do not overlap.
void strided_copy(const View& dst, const View& src);

// Every element of dst becomes *scalar (one element of dst's dtype).
void fill(const View& dst, const void* scalar);

}  // namespace pb
