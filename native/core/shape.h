// Arithmetic on shapes: broadcasting, axes, and which reshapes are views.
#pragma once
#include <span>
#include <string>

#include "core/meta.h"

namespace pb {

std::string shape_text(std::span<const int64_t> shape);     // "[2, 3]"
std::string shape_by_x(std::span<const int64_t> shape);     // "2x3"

// Broadcasts `into` with `shape`; false if they do not fit (then axis tells where, counted in the result).
bool broadcast_into(Dims& into, std::span<const int64_t> shape, int* axis = nullptr);

// A possibly negative axis -> 0..ndim-1; torch's IndexError otherwise. 0-dim tensors accept -1 and 0.
int wrap_axis(int64_t axis, int ndim);
// A list of axes as a bit mask; an empty list means all of them. Repeated axes are an error.
uint32_t axes_mask(std::span<const int64_t> axes, int ndim);
// The shape that is left when the masked axes are reduced.
Dims reduced_shape(std::span<const int64_t> shape, uint32_t mask, bool keepdim);

// Fills in a size of -1; torch's errors if the numbers of elements differ.
Dims resolve_reshape(std::span<const int64_t> requested, int64_t numel);
// Strides that present `from` under `shape` without a copy; false if there are none.
bool view_strides(const Meta& from, std::span<const int64_t> shape, Dims& strides);
// Strides of `from` expanded to `shape` (0 along broadcast axes); torch's errors if it does not fit.
Dims expand_strides(const Meta& from, std::span<const int64_t> shape);

// Strides for a new dense tensor of `shape`, with the axes in the order of the operands' strides (0 along axes that
// are broadcast): the first operand that tells two axes apart decides, as it does in torch.
Dims strides_in_order_of(std::span<const int64_t> shape, std::span<const Dims> operands);

}  // namespace pb
