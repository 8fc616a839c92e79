#include "ops/common.h"

#include <algorithm>
#include <new>

#include "core/shape.h"
#include "kernels/copy.h"

namespace pb {
namespace { constexpr std::align_val_t kAlignment{64}; }  // namespace

void not_implemented(const char* kernel, DType d) {
  fail(ErrorKind::NotImplemented, "\"", kernel, "\" not implemented for '", type_name(d),
       "'\nConvert the tensor first, for example with .float() or .long().");
}

void require_storage(const char* kernel, DType d) {
  if (!visit_dtype(d, []<class T>() {})) not_implemented(kernel, d);
}

void require_float(const char* kernel, DType d) {
  if (d != DType::Float32 && d != DType::Float64) not_implemented(kernel, d);
}

void Temp::Free::operator()(std::byte* p) const { ::operator delete(p, kAlignment); }

Temp::Temp(DType dtype, std::span<const int64_t> shape) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.shape = Dims(shape);
  s.strides = contiguous_strides(shape);
  const auto bytes = static_cast<size_t>(std::max<int64_t>(product(shape) * size_of(dtype), 1));
  s.bytes.reset(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
  s.view = {s.bytes.get(), dtype, s.shape.n, s.shape.v, s.strides.v};
}

int64_t elements_of(const View& v) { return product({v.shape, static_cast<size_t>(v.ndim)}); }

bool packed(const View& v) {
  const std::span<const int64_t> shape{v.shape, static_cast<size_t>(v.ndim)};
  const Dims expected = contiguous_strides(shape);
  if (product(shape) == 0) return true;
  for (int a = 0; a < v.ndim; ++a)
    if (v.shape[a] != 1 && v.strides[a] != expected[a]) return false;
  return true;
}

Temp converted(const View& from, DType to) {
  const std::span<const int64_t> shape{from.shape, static_cast<size_t>(from.ndim)};
  if (from.dtype != to && !packed(from)) return converted(converted(from, from.dtype).view(), to);
  Temp out(to, shape);
  if (from.dtype == to) {
    strided_copy(out.view(), from);
    return out;
  }
  const BlockFn cast = kernels().cast(from.dtype, to);
  if (!cast) not_implemented("copy_", from.dtype);
  if (const int64_t n = product(shape)) cast(out.data(), from.data, nullptr, nullptr, n);
  return out;
}

void copy_converted(const View& dst, const View& src) {
  if (dst.dtype == src.dtype) return strided_copy(dst, src);
  strided_copy(dst, converted(src, dst.dtype).view());
}

void start_as(const Placed& out, const Placed& in) {
  if (out.data != in.data) strided_copy(out.view(), in.view());
}

void fill_zero(const View& v) {
  const uint64_t zero = 0;
  fill(v, &zero);
}

Ready::Ready(const View& v, DType dtype, bool row_major) : view_(v) {
  if (v.dtype != dtype || (row_major && !packed(v))) temp_ = converted(v, dtype);
}

AtLeastOne::AtLeastOne(const View& v) : view(v) {
  if (v.ndim > 0) return;
  view.ndim = 1;
  view.shape = view.strides = &one;
}

void check_fault(const IndexFault& fault, ErrorKind kind, const char* prefix) {
  if (!fault) return;
  if (fault.size == 0) {
    fail(kind, prefix, "index is out of bounds for dimension with size 0\nDimension ", fault.axis,
         " has no elements to choose from.");
  }
  fail(kind, prefix, "index ", fault.index, " is out of bounds for dimension ", fault.axis, " with size ",
       fault.size, "\nThe indexed axis has ", fault.size, " elements, counted from 0.");
}

}  // namespace pb
