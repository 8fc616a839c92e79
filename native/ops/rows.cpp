// Softmax and its relatives along one axis.
#include "kernels/rows.h"

#include "core/shape.h"
#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

RowShape rows_along(const Meta& m, int dim) {
  if (m.ndim == 0) return {1, 1, 1};
  return {product(m.shape().first(static_cast<size_t>(dim))), m.size(dim),
          product(m.shape().subspan(static_cast<size_t>(dim) + 1))};
}

template <bool kLog> void infer_forward(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const int dim = wrap_axis(ints.next(), m.ndim);
  const bool last = dim + 1 >= m.ndim;
  require_float(kLog ? (last ? "log_softmax_lastdim_kernel_impl" : "log_softmax_kernel_impl")
                     : (last ? "softmax_lastdim_kernel_impl" : "softmax_kernel_impl"),
                m.dtype);
  out.push_back(Meta::contiguous(m.dtype, m.shape()));
}

template <bool (*RowKernels::*kKernel)(DType, const void*, void*, RowShape)>
void run_forward(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  const RowShape shape = rows_along(m, wrap_axis(Ints(c.ints).next(), m.ndim));
  GilRelease unlocked(is_long(m.numel));
  (row_kernels().*kKernel)(m.dtype, c.in[0].data, c.out[0].data, shape);
}

template <bool kLog> void infer_backward(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &grad = *in[0].meta, &y = *in[1].meta;
  wrap_axis(ints.next(), grad.ndim);
  if (!(Dims(grad.shape()) == Dims(y.shape()))) {
    fail(ErrorKind::Shape,
         "Expected tensor for argument #1 'grad' to have same size as tensor for argument #2 ",
         "'output'; but ", shape_text(grad.shape()), " does not equal ", shape_text(y.shape()),
         " (while checking arguments for ", kLog ? "log_" : "", "softmax_backward)");
  }
  if (grad.dtype != y.dtype) {
    fail(ErrorKind::Dtype, "expected scalar type ", type_name(y.dtype), " but found ", type_name(grad.dtype),
         "\nThe gradient has the type of the output.");
  }
  require_float(kLog ? "log_softmax_backward_lastdim_kernel_impl" : "softmax_backward_lastdim_kernel_impl",
                grad.dtype);
  out.push_back(Meta::contiguous(grad.dtype, grad.shape()));
}

template <bool (*RowKernels::*kKernel)(DType, const void*, const void*, void*, RowShape)>
void run_backward(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  const RowShape shape = rows_along(m, wrap_axis(Ints(c.ints).next(), m.ndim));
  GilRelease unlocked(is_long(m.numel));
  (row_kernels().*kKernel)(m.dtype, c.in[0].data, c.in[1].data, c.out[0].data, shape);
}

}  // namespace

std::span<const KernelRow> row_rows() {
  using K = RowKernels;
  static constexpr KernelRow kRows[] = {
      {"softmax", infer_forward<false>, run_forward<&K::softmax>, true},
      {"log_softmax", infer_forward<true>, run_forward<&K::log_softmax>, true},
      {"softmax_backward", infer_backward<false>, run_backward<&K::softmax_backward>, true},
      {"log_softmax_backward", infer_backward<true>, run_backward<&K::log_softmax_backward>, true},
  };
  return kRows;
}

}  // namespace pb
