// Integers have no quotient by zero: the divisor is looked at before anything is computed or changed.
#include "kernels/copy.h"
#include "tape/tape.h"

namespace pb {
namespace {

bool whole(const Argument& a) {
  return a.var ? !is_float(a.var->array.meta->dtype) : a.scalar.kind != Scalar::Kind::Float;
}
bool truth(const Argument& a) {
  return a.var ? a.var->array.meta->dtype == DType::Bool : a.scalar.kind == Scalar::Kind::Bool;
}

bool empty(const Argument& a) { return a.var && a.var->array.meta->numel == 0; }

bool holds_zero(Array a) {
  if (!a.meta->is_contiguous) {
    Array packed = Array::allocate(Meta::contiguous(a.meta->dtype, a.meta->shape()));
    strided_copy(packed.placed().view(), a.placed().view());
    a = std::move(packed);
  }
  bool found = false;
  visit_dtype(a.meta->dtype, [&]<class T>() {
    const T* x = static_cast<const T*>(a.data());
    for (int64_t i = 0; i < a.meta->numel && !found; ++i) found = x[i] == T(0);
  });
  return found;
}

}  // namespace

void check_divisor(const Application& a) {
  if (!a.ints.empty() && !a.ints[0]) return;  // div() without a rounding mode gives floats
  const Argument &x = a.args[0], &y = a.args[1];
  if (!whole(x) || !whole(y) || (truth(x) && truth(y)) || empty(x) || empty(y)) return;
  if (y.var ? !holds_zero(y.var->array) : y.scalar.i != 0) return;
  fail(ErrorKind::Runtime,
       "ZeroDivisionError\nIntegers cannot be divided by zero: choose other divisors with ",
       "where(), or convert the tensors with .float().");
}

}  // namespace pb
