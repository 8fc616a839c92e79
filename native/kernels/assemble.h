// Results put together from whole pieces of other tensors. `out` has the result's shape and any strides.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/index.h"
#include "kernels/table.h"

namespace pb {

// The parts one after another along axis; all of out's dtype.
void cat(const View& out, std::span<const View> parts, int axis);

// Reversed along each axis that is true.
void flip(const View& in, std::span<const bool> axes, const View& out);

// shifts[k] places along dims[k]; what leaves at the end comes back at the start. An axis may be named twice.
void roll(const View& in, std::span<const int64_t> shifts, std::span<const int> dims, const View& out);

// The last two axes' triangle on and below (above) the given diagonal; zeros elsewhere. out may be in.
void tril(const View& in, int64_t diagonal, const View& out);
void triu(const View& in, int64_t diagonal, const View& out);

// repeat_interleave is index_select by 0 (repeats[0] times), 1 (repeats[1] times), ... repeats: int64, one
// axis. A fault's index is a negative repeat.
IndexFault repeat_total(const View& repeats, int64_t* total);
void repeat_index(const View& repeats, int64_t* out);

}  // namespace pb
