#include "ops/windows.h"

#include <algorithm>

#include "core/error.h"
#include "core/shape.h"

namespace pb {

Window expand_window(const Meta& in, std::span<const int64_t> requested) {
  if (requested.size() > kMaxDims)
    fail(ErrorKind::Shape, "pullback supports up to ", kMaxDims, " dimensions");
  Window w{Dims(requested), Dims(requested), 0};
  const int shift = w.shape.n - in.ndim;
  if (shift < 0) {
    fail(ErrorKind::Shape, "expand(",
         in.dtype == DType::Bool ? "CPUBoolType" : concat("torch.", info(in.dtype).legacy), "{",
         shape_text(in.shape()), "}, size=", shape_text(requested), "): the number of sizes provided (",
         requested.size(), ") must be greater or equal to the number of dimensions in the tensor (",
         int{in.ndim}, ")\nGive a size for every axis; -1 keeps the one that is there.");
  }
  for (int a = w.shape.n - 1; a >= 0; --a) {
    const int64_t wanted = requested[a];
    if (a < shift && wanted < 0) {
      fail(ErrorKind::Shape, "The expanded size of the tensor (", wanted,
           ") isn't allowed in a leading, non-existing dimension ", a,
           "\n-1 keeps the size of an axis that is there; give new axes a size.");
    }
    const int64_t have = a < shift ? 1 : in.size(a - shift);
    w.shape[a] = wanted == -1 ? have : wanted;
    w.strides[a] = w.shape[a] == have && a >= shift ? in.stride(a - shift) : 0;
    if (w.shape[a] == have) continue;
    if (have == 1 && wanted >= 0) continue;
    if (have == 1) {
      fail(ErrorKind::Runtime, "numel: integer multiplication overflow\nThe requested size ", wanted,
           " of axis ", a, " is negative; -1 keeps the size that is there.");
    }
    fail(ErrorKind::Shape, "The expanded size of the tensor (", wanted, ") must match the existing size (",
         have, ") at non-singleton dimension ", a, ".  Target sizes: ", shape_text(requested),
         ".  Tensor sizes: ", shape_text(in.shape()), "\nOnly axes of size 1 can be expanded.");
  }
  return w;
}

Window select_window(const Window& in, Ints& ints) {
  if (in.shape.n == 0) {
    fail(ErrorKind::Index, "select() cannot be applied to a 0-dim tensor.\nUse .item() to get its number.");
  }
  const int dim = wrap_axis(ints.next(), in.shape.n);
  const int64_t index = ints.next(), size = in.shape[dim];
  if (index < -size || index >= size) {
    fail(ErrorKind::Index, "select(): index ", index, " out of range for tensor of size ",
         shape_text(in.shape), " at dimension ", dim, "\nIndices there go from ", -size, " to ", size - 1,
         ".");
  }
  Window out = in;
  out.offset += (index < 0 ? index + size : index) * in.strides[dim];
  out.shape.erase(dim);
  out.strides.erase(dim);
  return out;
}

Window slice_window(const Window& in, Ints& ints) {
  if (in.shape.n == 0) {
    fail(ErrorKind::Index,
         "slice() cannot be applied to a 0-dim tensor.\nUse reshape(1) to give it an axis.");
  }
  const int dim = wrap_axis(ints.next(), in.shape.n);
  int64_t start = ints.next(), end = ints.next();
  const int64_t step = ints.next(), size = in.shape[dim];
  if (step <= 0) {
    fail(ErrorKind::Runtime, "slice step must be positive\nThe step was ", step,
         "; use flip to go backwards.");
  }
  if (start < 0) start += size;
  if (end < 0) end += size;
  start = std::clamp(start, int64_t{0}, size);
  end = std::clamp(end, start, size);
  Window out = in;
  out.offset += start * in.strides[dim];
  out.shape[dim] = (end - start) / step + ((end - start) % step != 0);
  out.strides[dim] *= step;
  return out;
}

Window diagonal_window(const Window& in, Ints& ints) {
  const int64_t offset = ints.next(), first = ints.next(), second = ints.next();
  const int dim1 = wrap_axis(first, in.shape.n), dim2 = wrap_axis(second, in.shape.n);
  if (dim1 == dim2) {
    fail(ErrorKind::Runtime, "diagonal dimensions cannot be identical ", first, ", ", second,
         "\nName two different axes of the tensor.");
  }
  Window out = in;
  const int64_t rows = in.shape[dim1], columns = in.shape[dim2];
  const int64_t length = offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns);
  if (length > 0) out.offset += offset >= 0 ? offset * in.strides[dim2] : -offset * in.strides[dim1];
  for (int dim : {std::max(dim1, dim2), std::min(dim1, dim2)}) {
    out.shape.erase(dim);
    out.strides.erase(dim);
  }
  out.shape.push(std::max<int64_t>(length, 0));
  out.strides.push(in.strides[dim1] + in.strides[dim2]);
  return out;
}

Window unfold_window(const Window& in, Ints& ints) {
  const int dim = wrap_axis(ints.next(), in.shape.n);
  const int64_t size = ints.next(), step = ints.next();
  const int64_t length = in.shape.n ? in.shape[dim] : 1;
  if (size < 0) fail(ErrorKind::Runtime, "size is ", size, " but must be >= 0");
  if (size > length) {
    fail(ErrorKind::Runtime, "maximum size for tensor at dimension ", dim, " is ", length, " but size is ",
         size, "\nA window cannot be longer than the axis that it moves along.");
  }
  if (step <= 0) fail(ErrorKind::Runtime, "step is ", step, " but must be > 0");
  Window out = in;
  if (in.shape.n == kMaxDims) {
    fail(ErrorKind::Shape, "unfold gives one more dimension than the ", kMaxDims, " that pullback supports");
  }
  const int64_t stride = in.shape.n ? in.strides[dim] : 1;
  if (in.shape.n) {
    out.shape[dim] = (length - size) / step + 1;
    out.strides[dim] = step * stride;
  }
  out.shape.push(size);
  out.strides.push(stride);
  return out;
}

Window strided_window(Ints& ints) {
  const auto size = ints.list(), stride = ints.list();
  if (size.size() != stride.size()) {
    fail(ErrorKind::Runtime, "mismatch in length of strides and shape\nGot size ", shape_text(size),
         " and stride ", shape_text(stride), ".");
  }
  if (size.size() > kMaxDims) fail(ErrorKind::Shape, "pullback supports up to ", kMaxDims, " dimensions");
  for (size_t a = 0; a < size.size(); ++a) {
    if (stride[a] < 0) {
      fail(ErrorKind::Runtime,
           "as_strided: Negative strides are not supported at the moment, got strides: ", shape_text(stride));
    }
    if (size[a] < 0) {
      fail(ErrorKind::Runtime, "Storage size calculation overflowed with sizes=", shape_text(size),
           " and strides=", shape_text(stride), "\nSizes cannot be negative.");
    }
  }
  return {Dims(size), Dims(stride), ints.next()};
}

}  // namespace pb
