// The arithmetic of views: which elements of an array one sees, as sizes, strides and an offset.
#pragma once
#include "core/meta.h"
#include "kernels/table.h"
#include "program/op.h"

namespace pb {

struct Window {
  Dims shape, strides;
  int64_t offset = 0;  // elements from the array's first one

  // Over an array whose first element lies at `base`. Borrows the sizes: the window must outlive the view.
  View over(void* base, DType d) const {
    return {static_cast<char*>(base) + offset * size_of(d), d, shape.n, shape.v, strides.v};
  }
};

inline Window window_of(const Meta& m) { return {Dims(m.shape()), Dims(m.strides()), 0}; }
// All of a row-major array of `shape`.
inline Window whole(std::span<const int64_t> shape) { return {Dims(shape), contiguous_strides(shape), 0}; }

// Broadcast to `requested`; -1 keeps the size of an axis that is there.
Window expand_window(const Meta& in, std::span<const int64_t> requested);

// Each reads its parameters from `ints`, in the order of the op's signature, and throws torch's errors.
Window select_window(const Window& in, Ints& ints);
Window slice_window(const Window& in, Ints& ints);
Window diagonal_window(const Window& in, Ints& ints);
Window unfold_window(const Window& in, Ints& ints);
Window strided_window(Ints& ints);  // size, stride, offset

}  // namespace pb
