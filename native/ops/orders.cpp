// Running results along an axis, and orders: cumulative sums, sorting, the k largest.
#include "core/shape.h"
#include "kernels/scan.h"
#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

int read_axis(Ints& ints, const Meta& m) { return wrap_axis(ints.next(), m.ndim); }

// --- Running sums, products, extrema

void infer_running(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  read_axis(ints, m);
  require_storage("cumulative_cpu", m.dtype);
  out.push_back(Meta::contiguous(is_float(m.dtype) ? m.dtype : DType::Int64, m.shape()));
}

void infer_running_log(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  read_axis(ints, m);
  require_float("logcumsumexp_out_cpu", m.dtype);
  out.push_back(Meta::contiguous(m.dtype, m.shape()));
}

template <bool (*kKernel)(const View&, int, void*)> void run_running(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const int axis = read_axis(ints, m);
  GilRelease unlocked(is_long(m.numel));
  kKernel(c.in[0].view(), axis, c.out[0].data);
}

void push_with_indices(DType d, std::span<const int64_t> shape, Metas& out) {
  out.push_back(Meta::contiguous(d, shape));
  out.push_back(Meta::contiguous(DType::Int64, shape));
}

void infer_same_shape(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  read_axis(ints, m);
  require_storage("sort_cpu", m.dtype);
  push_with_indices(m.dtype, m.shape(), out);
}

int64_t* indices_of(const KernelCall& c) { return static_cast<int64_t*>(c.out[1].data); }

template <bool (*kKernel)(const View&, int, void*, int64_t*)> void run_running_extremum(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const int axis = read_axis(ints, m);
  GilRelease unlocked(is_long(m.numel));
  kKernel(c.in[0].view(), axis, c.out[0].data, indices_of(c));
}

// --- Recurrences: s[i] = b[i] + a[i] s[i - 1], and their adjoints

void infer_recurrence(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &a = *in[0].meta, &b = *in[1].meta;
  read_axis(ints, a);
  if (!(Dims(a.shape()) == Dims(b.shape())) || a.dtype != b.dtype) {
    fail(ErrorKind::Shape, "recurrence: expected two tensors of one shape and type, but got ",
         shape_text(a.shape()), " and ", shape_text(b.shape()));
  }
  require_float("recurrence", a.dtype);
  out.push_back(Meta::contiguous(a.dtype, a.shape()));
}

void run_recurrence(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const int axis = read_axis(ints, m);
  const bool backwards = ints.flag(), shifted = ints.flag();
  GilRelease unlocked(is_long(m.numel));
  const Ready a(c.in[0].view(), m.dtype, true), b(c.in[1].view(), m.dtype, true);
  recurrence(a.view(), b.view(), axis, backwards, shifted, c.out[0].data);
}

// --- Orders. The sort is stable whether that was asked for or not.

void run_sort(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const int axis = read_axis(ints, m);
  const bool descending = ints.flag();
  GilRelease unlocked(is_long(m.numel));
  sort(c.in[0].view(), axis, descending, c.out[0].data, indices_of(c));
}

void infer_topk(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const int64_t k = ints.next();
  const int axis = read_axis(ints, m);
  const int64_t size = m.ndim ? m.size(axis) : 1;
  if (k < 0 || k > size) {
    fail(ErrorKind::Runtime, "selected index k out of range\ntopk: dimension ", axis, " has ", size,
         " elements, ", k, " were asked for.");
  }
  if (m.dtype == DType::Bool) {
    fail(ErrorKind::Runtime,
         "topk does not support bool dtypes on CPU\nConvert the tensor first, for example with .int().");
  }
  require_storage("topk_cpu", m.dtype);
  Dims shape(m.shape());
  if (m.ndim) shape[axis] = k;
  push_with_indices(m.dtype, shape, out);
}

void run_topk(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (c.out[0].meta->numel == 0) return;
  Ints ints(c.ints);
  const int64_t k = ints.next();
  const int axis = read_axis(ints, m);
  const bool largest = ints.flag(), sorted = ints.flag();
  GilRelease unlocked(is_long(m.numel));
  topk(c.in[0].view(), axis, k, largest, sorted, c.out[0].data, indices_of(c));
}

void infer_kthvalue(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const int64_t k = ints.next();
  const int axis = read_axis(ints, m);
  const int64_t size = m.ndim ? m.size(axis) : 1;
  if (size == 0) {
    fail(ErrorKind::Index, "kthvalue(): Expected reduction dim ", axis,
         " to have non-zero size.\nAn empty axis has no k-th value.");
  }
  if (k < 1 || k > size) {
    fail(ErrorKind::Runtime, "kthvalue(): selected number k out of range for dimension ", axis,
         "\nk counts from 1 to ", size, " there; it was ", k, ".");
  }
  if (m.dtype == DType::Bool) not_implemented("kthvalue_cpu", m.dtype);
  require_storage("kthvalue_cpu", m.dtype);
  push_with_indices(m.dtype, reduced_shape(m.shape(), m.ndim ? 1u << axis : 0, ints.flag()), out);
}

void run_kthvalue(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const int64_t k = ints.next();
  const int axis = read_axis(ints, m);
  GilRelease unlocked(is_long(m.numel));
  kthvalue(c.in[0].view(), axis, k, c.out[0].data, indices_of(c));
}

void infer_median(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const int axis = read_axis(ints, m);
  if (m.ndim && m.size(axis) == 0) {
    fail(ErrorKind::Index, "median(): Expected reduction dim ", axis,
         " to have non-zero size.\nAn empty axis has no middle.");
  }
  if (m.dtype == DType::Bool) not_implemented("median_cpu", m.dtype);
  require_storage("median_cpu", m.dtype);
  push_with_indices(m.dtype, reduced_shape(m.shape(), m.ndim ? 1u << axis : 0, ints.flag()), out);
}

void run_median(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const int axis = read_axis(ints, m);
  ints.flag();
  const bool ignore_nan = ints.flag();
  GilRelease unlocked(is_long(m.numel));
  median(c.in[0].view(), axis, ignore_nan, c.out[0].data, indices_of(c));
}

}  // namespace

std::span<const KernelRow> order_rows() {
  static constexpr KernelRow kRows[] = {
      {"cumsum", infer_running, run_running<cumsum>, false},
      {"cumprod", infer_running, run_running<cumprod>, false},
      {"logcumsumexp", infer_running_log, run_running<logcumsumexp>, false},
      {"cummax", infer_same_shape, run_running_extremum<cummax>, false},
      {"cummin", infer_same_shape, run_running_extremum<cummin>, false},
      {"recurrence", infer_recurrence, run_recurrence, false},
      {"sort", infer_same_shape, run_sort, false},
      {"topk", infer_topk, run_topk, false},
      {"kthvalue", infer_kthvalue, run_kthvalue, false},
      {"median", infer_median, run_median, false},
  };
  return kRows;
}

}  // namespace pb
