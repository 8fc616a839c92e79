#include "core/shape.h"

#include <algorithm>

#include "core/error.h"

namespace pb {

std::string shape_text(std::span<const int64_t> shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

std::string shape_by_x(std::span<const int64_t> shape) {
  std::string s;
  for (size_t i = 0; i < shape.size(); ++i) s += (i ? "x" : "") + std::to_string(shape[i]);
  return s;
}

bool broadcast_into(Dims& into, std::span<const int64_t> shape, int* axis) {
  while (into.n < static_cast<int>(shape.size())) into.insert(0, 1);
  const int shift = into.n - static_cast<int>(shape.size());
  for (int i = into.n - 1; i >= shift; --i) {
    const int64_t s = shape[i - shift];
    if (s == into[i] || s == 1) continue;
    if (into[i] != 1) {
      if (axis) *axis = i;
      return false;
    }
    into[i] = s;
  }
  return true;
}

int wrap_axis(int64_t axis, int ndim) {
  const int64_t n = std::max(ndim, 1);
  if (axis < -n || axis >= n) {
    fail(ErrorKind::Index, "Dimension out of range (expected to be in range of [", -n, ", ", n - 1,
         "], but got ", axis, ")\nThe tensor has ", ndim, " dimension", ndim == 1 ? "" : "s",
         "; count them from 0, or from -1 backwards.");
  }
  return static_cast<int>(axis < 0 ? axis + n : axis);
}

uint32_t axes_mask(std::span<const int64_t> axes, int ndim) {
  if (axes.empty()) return (1u << ndim) - 1;
  uint32_t mask = 0;
  for (int64_t a : axes) {
    const int axis = wrap_axis(a, ndim);
    if (mask >> axis & 1)
      fail(ErrorKind::Runtime, "dim ", axis, " appears multiple times in the list of dims");
    mask |= 1u << axis;
  }
  return ndim == 0 ? 0 : mask;
}

Dims reduced_shape(std::span<const int64_t> shape, uint32_t mask, bool keepdim) {
  Dims out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!(mask >> i & 1)) out.push(shape[i]);
    else if (keepdim) out.push(1);
  }
  return out;
}

Dims resolve_reshape(std::span<const int64_t> requested, int64_t numel) {
  if (requested.size() > kMaxDims)
    fail(ErrorKind::Shape, "too many dimensions: pullback supports up to ", kMaxDims);
  Dims out(requested);
  int hole = -1;
  int64_t known = 1;
  for (int i = 0; i < out.n; ++i) {
    if (out[i] == -1) {
      if (hole >= 0) fail(ErrorKind::Shape, "only one dimension can be inferred");
      hole = i;
    } else if (out[i] < 0) {
      fail(ErrorKind::Shape, "invalid shape dimension ", out[i], " at index ", i, " of shape ",
           shape_text(requested));
    } else if (__builtin_mul_overflow(known, out[i], &known)) {
      fail(ErrorKind::Shape, "shape '", shape_text(requested), "' is invalid for input of size ", numel);
    }
  }
  if (hole >= 0 && known == 0) {
    if (numel == 0) {
      fail(ErrorKind::Shape, "cannot reshape tensor of 0 elements into shape ", shape_text(requested),
           " because the unspecified dimension size -1 can be any value and is ambiguous");
    }
    fail(ErrorKind::Shape, "shape '", shape_text(requested), "' is invalid for input of size ", numel);
  }
  if (hole >= 0 && numel % known == 0) out[hole] = numel / known, known = numel;
  if (known != numel) {
    fail(ErrorKind::Shape, "shape '", shape_text(requested), "' is invalid for input of size ", numel,
         "\nThe sizes must multiply to the number of elements; one of them may be -1 to be worked out.");
  }
  return out;
}

bool view_strides(const Meta& from, std::span<const int64_t> shape, Dims& strides) {
  strides.n = static_cast<int>(shape.size());
  if (from.numel == 0 || from.is_contiguous) {
    strides = contiguous_strides(shape);
    return true;
  }
  // Walk both shapes from the right; each run of old axes that is contiguous in itself can be cut anew.
  int at = strides.n - 1;
  int64_t run_stride = from.ndim ? from.stride(from.ndim - 1) : 1;
  int64_t old_elements = 1, new_elements = 1;
  for (int axis = from.ndim - 1; axis >= 0; --axis) {
    old_elements *= from.size(axis);
    const bool run_ends =
        axis == 0 || (from.size(axis - 1) != 1 && from.stride(axis - 1) != old_elements * run_stride);
    if (!run_ends) continue;
    while (at >= 0 && (new_elements < old_elements || shape[at] == 1)) {
      strides[at] = new_elements * run_stride;
      new_elements *= shape[at];
      --at;
    }
    if (new_elements != old_elements) return false;
    if (axis > 0) {
      run_stride = from.stride(axis - 1);
      old_elements = new_elements = 1;
    }
  }
  return at == -1;
}

Dims expand_strides(const Meta& from, std::span<const int64_t> shape) {
  Dims out;
  out.n = static_cast<int>(shape.size());
  const int shift = out.n - from.ndim;
  if (shift < 0) {
    fail(ErrorKind::Shape, "expand(", info(from.dtype).legacy, "{", shape_text(from.shape()),
         "}, size=", shape_text(shape), "): the number of sizes provided (", shape.size(),
         ") must be greater or equal to the number of dimensions in the tensor (", int{from.ndim}, ")");
  }
  for (int i = out.n - 1; i >= 0; --i) {
    if (i < shift) {
      out[i] = 0;
    } else if (from.size(i - shift) == shape[i]) {
      out[i] = from.stride(i - shift);
    } else if (from.size(i - shift) == 1) {
      out[i] = 0;
    } else {
      fail(ErrorKind::Shape, "The expanded size of the tensor (", shape[i],
           ") must match the existing size (", from.size(i - shift), ") at non-singleton dimension ", i,
           ".  Target sizes: ", shape_text(shape), ".  Tensor sizes: ", shape_text(from.shape()));
    }
  }
  return out;
}

namespace {

// Whether axis `inner` of a new tensor should lie outside of `outer`: 1 for yes, -1 for no, 0 where nothing tells.
int wants_swap(int inner, int outer, std::span<const int64_t> shape, std::span<const Dims> operands) {
  for (const Dims& strides : operands) {
    const int64_t a = strides[inner], b = strides[outer];
    if (a == 0 || b == 0) continue;
    if (a != b) return a < b ? -1 : 1;
    if (shape[inner] > shape[outer]) return 1;
  }
  return 0;
}

}  // namespace

Dims strides_in_order_of(std::span<const int64_t> shape, std::span<const Dims> operands) {
  const int n = static_cast<int>(shape.size());
  int order[kMaxDims];  // innermost first
  for (int i = 0; i < n; ++i) order[i] = n - 1 - i;
  for (int i = 1; i < n; ++i) {
    for (int at = i, k = i - 1; k >= 0; --k) {
      const int swap = wants_swap(order[k], order[at], shape, operands);
      if (swap < 0) break;
      if (swap > 0) {
        std::swap(order[k], order[at]);
        at = k;
      }
    }
  }
  Dims out;
  out.n = n;
  int64_t step = 1;
  for (int k = 0; k < n; ++k) {
    out[order[k]] = step;
    step *= std::max<int64_t>(shape[order[k]], 1);
  }
  return out;
}

}  // namespace pb
