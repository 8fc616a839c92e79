// Reductions: sums, extrema, moments and norms along axes.
#include <cmath>
#include <cstring>

#include <algorithm>
#include "core/shape.h"
#include "kernels/copy.h"
#include "kernels/reduce.h"
#include "kernels/rows.h"

#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

struct Axes {
  uint32_t mask;
  bool keepdim;
};

uint32_t read_mask(Ints& ints, const Meta& m) { return axes_mask(ints.list(), m.ndim); }

Axes read_axes(Ints& ints, const Meta& m) {
  const uint32_t mask = read_mask(ints, m);
  return {mask, ints.flag()};
}

void push_reduced(const Meta& m, DType d, Axes a, Metas& out) {
  out.push_back(Meta::contiguous(d, reduced_shape(m.shape(), a.mask, a.keepdim)));
}

// --- Sums and products

DType sum_type(DType d) { return is_float(d) ? d : DType::Int64; }

void infer_sum(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const Axes axes = read_axes(ints, m);
  const DType d = ints.has() ? static_cast<DType>(ints.next()) : sum_type(m.dtype);
  require_storage("sum_cpu", m.dtype);
  require_storage("sum_cpu", d);
  push_reduced(m, d, axes, out);
}

// Sums `in` into `out` of any type: what differs from the kernels' types is converted before and after.
void sum_into(const View& in, uint32_t mask, const View& out) {
  const bool cast_first = is_float(in.dtype) || is_float(out.dtype);
  const Ready from(in, cast_first ? out.dtype : in.dtype, false);
  if (sum_type(from.view().dtype) == out.dtype) {
    reduce_kernels().sum(from.view(), mask, out.data);
    return;
  }
  const Temp wide(DType::Int64, {out.shape, static_cast<size_t>(out.ndim)});
  reduce_kernels().sum(from.view(), mask, wide.data());
  copy_converted(out, wide.view());
}

void run_sum(const KernelCall& c) {
  Ints ints(c.ints);
  const uint32_t mask = read_mask(ints, *c.in[0].meta);
  GilRelease unlocked(is_long(c.in[0].meta->numel));
  sum_into(c.in[0].view(), mask, c.out[0].view());
}

// The axes along which `in` was broadcast from `size`.
uint32_t broadcast_axes(const Meta& in, std::span<const int64_t> size) {
  const int shift = in.ndim - static_cast<int>(size.size());
  bool fits = shift >= 0;
  uint32_t mask = 0;
  for (int a = 0; a < in.ndim && fits; ++a) {
    if (a < shift || (size[a - shift] == 1 && in.size(a) != 1)) mask |= 1u << a;
    else fits = size[a - shift] == in.size(a);
  }
  if (!fits) {
    fail(ErrorKind::Shape, "size {", shape_text(size), "} is not expandable to size {",
         shape_text(in.shape()), "}.\nCounted from the right, sizes must be equal or 1.");
  }
  return mask;
}

void infer_sum_to(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const auto size = ints.list();
  broadcast_axes(m, size);
  require_storage("sum_cpu", m.dtype);
  out.push_back(Meta::contiguous(m.dtype, size));
}

uint32_t axes_of_sum(const Meta& in, Ints ints) { return read_mask(ints, in); }
uint32_t axes_of_sum_to(const Meta& in, Ints ints) { return broadcast_axes(in, ints.list()); }

// Nothing was broadcast: the binder then takes the input itself.
bool keeps_shape(const Meta& in, Ints ints) { return std::ranges::equal(in.shape(), ints.list()); }

void run_sum_to(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  const uint32_t mask = broadcast_axes(m, c.out[0].meta->shape());
  GilRelease unlocked(is_long(m.numel));
  if (mask) return sum_into(c.in[0].view(), mask, c.out[0].view());
  strided_copy(c.out[0].view(), c.in[0].view());
}

void infer_prod(std::span<const Operand> in, Ints ints, Metas& out) {
  require_storage("prod_cpu", in[0].meta->dtype);
  push_reduced(*in[0].meta, sum_type(in[0].meta->dtype), read_axes(ints, *in[0].meta), out);
}

template <bool (*ReduceKernels::*kKernel)(const View&, uint64_t, void*)> void run_plain(const KernelCall& c) {
  Ints ints(c.ints);
  const uint32_t mask = read_mask(ints, *c.in[0].meta);
  GilRelease unlocked(is_long(c.in[0].meta->numel));
  (reduce_kernels().*kKernel)(c.in[0].view(), mask, c.out[0].data);
}

// --- Extrema

[[noreturn]] void fail_empty_axis(const char* op, int dim) {
  fail(ErrorKind::Index, op, "(): Expected reduction dim ", dim,
       " to have non-zero size.\nAn empty axis has no extremum.");
}

struct Amax { static constexpr const char *kName = "amax", *kIndexed = "max", *kArg = "argmax"; };
struct Amin { static constexpr const char *kName = "amin", *kIndexed = "min", *kArg = "argmin"; };

template <class Op> void infer_extremum(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const bool all = Ints(ints).list().empty();
  const Axes axes = read_axes(ints, m);
  require_storage(concat(Op::kName, "_all").c_str(), m.dtype);
  if (m.numel == 0 && all) {
    fail(ErrorKind::Runtime, Op::kName, "(): Expected reduction dim to be specified for input.numel() == 0. ",
         "Specify the reduction dim with the 'dim' argument.");
  }
  for (int a = 0; a < m.ndim; ++a)
    if ((axes.mask >> a & 1) && m.size(a) == 0) fail_empty_axis(Op::kName, a);
  push_reduced(m, m.dtype, axes, out);
}

uint32_t one_axis(int dim, const Meta& m) { return m.ndim ? 1u << dim : 0; }

// All elements, under the name that torch gives this case in its messages.
template <class Op> void infer_extremum_all(std::span<const Operand> in, Ints, Metas& out) {
  const Meta& m = *in[0].meta;
  require_storage(concat(Op::kIndexed, "_all").c_str(), m.dtype);
  if (m.numel == 0) {
    fail(ErrorKind::Runtime, Op::kIndexed,
         "(): Expected reduction dim to be specified for input.numel() == 0. ",
         "Specify the reduction dim with the 'dim' argument.");
  }
  out.push_back(Meta::contiguous(m.dtype, {}));
}

template <bool (*ReduceKernels::*kKernel)(const View&, uint64_t, void*)> void run_all(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  GilRelease unlocked(is_long(m.numel));
  (reduce_kernels().*kKernel)(c.in[0].view(), axes_mask({}, m.ndim), c.out[0].data);
}

template <class Op> void infer_extremum_dim(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const int dim = wrap_axis(ints.next(), m.ndim);
  require_storage(concat(Op::kIndexed, "_cpu").c_str(), m.dtype);
  if (m.ndim && m.size(dim) == 0) fail_empty_axis(Op::kIndexed, dim);
  const Axes axes{one_axis(dim, m), ints.flag()};
  push_reduced(m, m.dtype, axes, out);
  push_reduced(m, DType::Int64, axes, out);
}

using IndexKernel = bool (*ReduceKernels::*)(const View&, int, void*, int64_t*);

template <IndexKernel kKernel> void run_index(const KernelCall& c, int axis, void* values, void* indices) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  GilRelease unlocked(is_long(m.numel));
  (reduce_kernels().*kKernel)(c.in[0].view(), m.ndim ? axis : -1, values, static_cast<int64_t*>(indices));
}

template <IndexKernel kKernel> void run_extremum_dim(const KernelCall& c) {
  run_index<kKernel>(c, wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim), c.out[0].data, c.out[1].data);
}

template <class Op> void infer_arg(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const bool given = ints.has();
  if (m.dtype == DType::Bool) {
    fail(ErrorKind::Runtime, Op::kArg,
         "(): does not support bool input\nConvert it first, for example with .int().");
  }
  const int dim = given ? wrap_axis(ints.next(), m.ndim) : -1;
  require_storage(concat(Op::kArg, "_cpu").c_str(), m.dtype);
  if (!given && m.numel == 0) {
    fail(ErrorKind::Index, Op::kArg, "(): Expected reduction dim to be specified for input.numel() == 0.",
         "\nAn empty tensor has no extremum; give an axis that is not empty.");
  }
  if (given && m.ndim && m.size(dim) == 0) fail_empty_axis(Op::kArg, dim);
  push_reduced(m, DType::Int64, {given ? one_axis(dim, m) : axes_mask({}, m.ndim), ints.flag()}, out);
}

template <IndexKernel kKernel> void run_arg(const KernelCall& c) {
  Ints ints(c.ints);
  const int axis = ints.has() ? wrap_axis(ints.next(), c.in[0].meta->ndim) : -1;
  run_index<kKernel>(c, axis, nullptr, c.out[0].data);
}

// --- Truth

void infer_truth(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  require_storage("any_all_cpu", m.dtype);
  const Axes axes = read_axes(ints, m);
  push_reduced(m, m.dtype == DType::UInt8 ? DType::UInt8 : DType::Bool, axes, out);  // one byte either way
}

template <bool (*ReduceKernels::*kKernel)(const View&, uint64_t, bool*)> void run_truth(const KernelCall& c) {
  Ints ints(c.ints);
  const uint32_t mask = read_mask(ints, *c.in[0].meta);
  GilRelease unlocked(is_long(c.in[0].meta->numel));
  (reduce_kernels().*kKernel)(c.in[0].view(), mask, static_cast<bool*>(c.out[0].data));
}

void infer_count(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  require_storage("count_nonzero_cpu", m.dtype);
  push_reduced(m, DType::Int64, {read_mask(ints, m), false}, out);
}

void run_count(const KernelCall& c) {
  Ints ints(c.ints);
  const uint32_t mask = read_mask(ints, *c.in[0].meta);
  GilRelease unlocked(is_long(c.in[0].meta->numel));
  reduce_kernels().count_nonzero(c.in[0].view(), mask, static_cast<int64_t*>(c.out[0].data));
}

// --- Moments, norms

template <bool kMean> void infer_var(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  if (!is_float(m.dtype)) {
    fail(ErrorKind::Dtype, kMean ? "var_mean" : "std and var",
         " only support floating point and complex dtypes\nThe tensor is ", info(m.dtype).name,
         "; convert it first, for example with .float().");
  }
  require_float("std_var_kernel", m.dtype);
  const uint32_t mask = read_mask(ints, m);
  ints.real();
  const Axes axes{mask, ints.flag()};
  for (int k = 0; k < (kMean ? 2 : 1); ++k) push_reduced(m, m.dtype, axes, out);
}

template <bool kRoot, bool kMean> void run_var(const KernelCall& c) {
  Ints ints(c.ints);
  const uint32_t mask = read_mask(ints, *c.in[0].meta);
  const double correction = ints.real();
  ints.flag();  // whether the axes are kept
  const bool in_order = kMean && ints.flag();
  GilRelease unlocked(is_long(c.in[0].meta->numel));
  reduce_kernels().var(c.in[0].view(), mask, correction, kRoot, in_order, c.out[0].data,
                       kMean ? c.out[1].data : nullptr);
}

void check_norm_of_empty(const Meta& m, double ord, bool all, uint32_t mask) {
  if (m.numel != 0 || !(ord < 0 || std::isinf(ord))) return;
  if (all) {
    fail(ErrorKind::Runtime, "linalg.vector_norm cannot compute the ", ord,
         " norm on an empty tensor because the operation does not have an identity");
  }
  for (int a = 0; a < m.ndim; ++a) {
    if (!(mask >> a & 1) || m.size(a) != 0) continue;
    fail(ErrorKind::Runtime, "linalg.vector_norm cannot compute the ", ord, " norm on the dimension ", a,
         "because this dimension is empty and the operation does not have an identity");
  }
}

void infer_norm(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  if (!is_float(m.dtype)) {
    fail(ErrorKind::Dtype, "linalg.vector_norm: Expected a floating point or complex tensor as input. Got ",
         type_name(m.dtype), "\nConvert it first, for example with .float().");
  }
  require_float("linalg_vector_norm_cpu", m.dtype);
  const double ord = ints.real();
  const bool all = Ints(ints).list().empty();
  const Axes axes = read_axes(ints, m);
  check_norm_of_empty(m, ord, all, axes.mask);
  push_reduced(m, m.dtype, axes, out);
}

void run_norm(const KernelCall& c) {
  Ints ints(c.ints);
  const double ord = ints.real();
  const uint32_t mask = read_mask(ints, *c.in[0].meta);
  GilRelease unlocked(is_long(c.in[0].meta->numel));
  reduce_kernels().norm(c.in[0].view(), mask, ord, c.out[0].data);
}

// --- logsumexp

void infer_logsumexp(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const DType d = is_float(m.dtype) ? m.dtype : default_dtype();
  const Axes axes = read_axes(ints, m);
  require_storage("logsumexp", m.dtype);
  require_float("logsumexp", d);
  push_reduced(m, d, axes, out);
}

// Neighbouring axes are one axis of a row-major array; others are moved to the end first.
void run_logsumexp(const KernelCall& c) {
  Ints ints(c.ints);
  const Meta& m = *c.in[0].meta;
  const uint32_t mask = read_mask(ints, m);
  const DType d = c.out[0].meta->dtype;
  RowShape shape{1, 1, 1};
  bool apart = false;
  for (int a = 0; a < m.ndim; ++a) {
    const bool reduced = mask >> a & 1, before = (mask >> a) != 0, begun = (mask & ((1u << a) - 1)) != 0;
    if (reduced) shape.n *= m.size(a);
    else if (begun) shape.inner *= m.size(a);
    else shape.outer *= m.size(a);
    apart |= !reduced && begun && before && m.size(a) != 1;
  }
  GilRelease unlocked(is_long(m.numel));
  View from = c.in[0].view();
  Dims sizes, strides;
  if (apart) {
    for (const bool reduced : {false, true}) {
      for (int a = 0; a < m.ndim; ++a) {
        if ((mask >> a & 1) != reduced) continue;
        sizes.push(m.size(a));
        strides.push(m.stride(a));
      }
    }
    from.shape = sizes.v;
    from.strides = strides.v;
    shape = {shape.outer * shape.inner, shape.n, 1};
  }
  const Ready ready(from, d, true);
  row_kernels().logsumexp(d, ready.view().data, c.out[0].data, shape);
}

}  // namespace

std::span<const KernelRow> reduction_rows() {
  using K = ReduceKernels;
  static constexpr KernelRow kRows[] = {
      {.name = "sum",
       .infer = infer_sum,
       .run = run_sum,
       .contiguous_inputs = false,
       .summed_axes = axes_of_sum},
      {.name = "sum_to",
       .infer = infer_sum_to,
       .run = run_sum_to,
       .contiguous_inputs = false,
       .is_identity = keeps_shape,
       .summed_axes = axes_of_sum_to},
      {"prod", infer_prod, run_plain<&K::prod>, false},
      {"amax", infer_extremum<Amax>, run_plain<&K::amax>, false},
      {"amin", infer_extremum<Amin>, run_plain<&K::amin>, false},
      {"max_all", infer_extremum_all<Amax>, run_all<&K::amax>, false},
      {"min_all", infer_extremum_all<Amin>, run_all<&K::amin>, false},
      {"max_dim", infer_extremum_dim<Amax>, run_extremum_dim<&K::max_index>, false},
      {"min_dim", infer_extremum_dim<Amin>, run_extremum_dim<&K::min_index>, false},
      {"argmax", infer_arg<Amax>, run_arg<&K::max_index>, false},
      {"argmin", infer_arg<Amin>, run_arg<&K::min_index>, false},
      {"any", infer_truth, run_truth<&K::any>, false},
      {"all", infer_truth, run_truth<&K::all>, false},
      {"count_nonzero", infer_count, run_count, false},
      {"var", infer_var<false>, run_var<false, false>, false},
      {"std", infer_var<false>, run_var<true, false>, false},
      {"var_mean", infer_var<true>, run_var<false, true>, false},
      {"vector_norm", infer_norm, run_norm, false},
      {"logsumexp", infer_logsumexp, run_logsumexp, false},
  };
  return kRows;
}

}  // namespace pb
