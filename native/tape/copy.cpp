// Elements written without recording: fills, and copies that convert.
#include "kernels/copy.h"
#include "tape/tape.h"

namespace pb {

void fill_elements(const Array& to, const Scalar& value) {
  if (to.meta->numel == 1) return store_scalar(value, to.meta->dtype, to.data());
  alignas(8) char element[8];
  store_scalar(value, to.meta->dtype, element);
  fill(to.placed().view(), element);
}

Var zeros_like(const Meta& m) {
  Var z;
  z.array = Array::allocate(Meta::contiguous(m.dtype, m.shape()));
  fill_elements(z.array, Scalar::of_int(0));
  return z;
}

void copy_elements(const Array& to, const Array& from) {
  if (to.meta->dtype == from.meta->dtype) return strided_copy(to.placed().view(), from.placed().view());
  static const Op* cast = find_op("cast");
  const GradMode off(false);
  const Var v{from, nullptr, 0};
  const Argument args[1] = {{&v, {}}};
  const int64_t ints[1] = {static_cast<int64_t>(to.meta->dtype)};
  const Var converted = apply_one({cast, args, ints, 0});
  strided_copy(to.placed().view(), converted.array.placed().view());
}

Array copy_of(const Array& a, const Meta& like) {
  int64_t low = 0, high = 0;
  like.extent(low, high);
  Array copy;
  copy.storage = Storage::allocate(static_cast<size_t>(high - low) * size_of(like.dtype));
  copy.meta = Ref<Meta>(const_cast<Meta*>(&like));
  copy.offset = -low;
  copy_elements(copy, a);
  return copy;
}

}  // namespace pb
