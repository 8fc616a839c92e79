// Results put together from whole pieces: concatenation, reversal, rolling, triangles, tiling, constants.
#include "kernels/assemble.h"

#include "core/shape.h"
#include "kernels/copy.h"
#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

// --- cat

// torch lets empty tensors of one axis stand anywhere in the list.
bool is_skipped(const Meta& m) { return m.ndim == 1 && m.numel == 0; }

void check_parts(std::span<const Operand> in, const Meta& first, size_t first_at, int dim) {
  for (size_t k = first_at + 1; k < in.size(); ++k) {
    const Meta& m = *in[k].meta;
    if (is_skipped(m)) continue;
    if (m.ndim != first.ndim) {
      fail(ErrorKind::Shape, "Tensors must have same number of dimensions: got ", int{first.ndim}, " and ",
           int{m.ndim}, "\nUse stack to join them along a new axis, or unsqueeze.");
    }
    for (int a = 0; a < m.ndim; ++a) {
      if (a == dim || m.size(a) == first.size(a)) continue;
      fail(ErrorKind::Shape, "Sizes of tensors must match except in dimension ", dim, ". Expected size ",
           first.size(a), " but got size ", m.size(a), " for tensor number ", k,
           " in the list.\nThe shapes are ", shape_text(first.shape()), " and ", shape_text(m.shape()), ".");
    }
  }
}

void infer_cat(std::span<const Operand> in, Ints ints, Metas& out) {
  ints.next();
  if (in.empty()) fail(ErrorKind::Value, "torch.cat(): expected a non-empty list of Tensors");
  for (size_t k = 0; k < in.size(); ++k) {
    if (in[k].meta->ndim > 0) continue;
    fail(ErrorKind::Shape, "zero-dimensional tensor (at position ", k,
         ") cannot be concatenated\nUse stack, or reshape it to (1,).");
  }
  const DType d = common_dtype(in);
  require_storage("cat_cpu", d);
  size_t first = 0;
  while (first < in.size() && is_skipped(*in[first].meta)) ++first;
  if (first == in.size()) {
    const int64_t none[1] = {0};
    out.push_back(Meta::contiguous(d, none));
    return;
  }
  const Meta& like = *in[first].meta;
  const int dim = wrap_axis(ints.next(), like.ndim);
  check_parts(in, like, first, dim);
  Dims shape(like.shape());
  shape[dim] = 0;
  for (const Operand& o : in)
    if (!is_skipped(*o.meta)) shape[dim] += o.meta->size(dim);
  out.push_back(Meta::contiguous(d, shape));
}

void run_cat(const KernelCall& c) {
  const Meta& m = *c.out[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  ints.next();
  const int dim = wrap_axis(ints.next(), m.ndim);
  GilRelease unlocked(is_long(m.numel));
  std::vector<Ready> ready;
  std::vector<View> parts;
  ready.reserve(c.in.size());
  for (const Placed& p : c.in) {
    if (is_skipped(*p.meta)) continue;
    ready.emplace_back(p.view(), m.dtype, false);
    parts.push_back(ready.back().view());
  }
  cat(c.out[0].view(), parts, dim);
}

// --- flip, roll

void push_same(const char* kernel, const Meta& m, Metas& out) {
  require_storage(kernel, m.dtype);
  out.push_back(Meta::contiguous(m.dtype, m.shape()));
}

uint32_t named_axes(Ints& ints, const Meta& m) {
  const auto dims = ints.list();
  return dims.empty() ? 0 : axes_mask(dims, m.ndim);
}

void infer_flip(std::span<const Operand> in, Ints ints, Metas& out) {
  named_axes(ints, *in[0].meta);
  push_same("flip_cpu", *in[0].meta, out);
}

void run_flip(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  Ints ints(c.ints);
  const uint32_t mask = named_axes(ints, m);
  bool axes[kMaxDims] = {};
  for (int a = 0; a < m.ndim; ++a) axes[a] = mask >> a & 1;
  GilRelease unlocked(is_long(m.numel));
  flip(c.in[0].view(), {axes, m.ndim}, c.out[0].view());
}

void infer_roll(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const auto shifts = ints.list(), dims = ints.list();
  if (shifts.empty()) fail(ErrorKind::Runtime, "`shifts` required\nGive how many places to move.");
  if (shifts.size() != dims.size() && !(dims.empty() && shifts.size() == 1)) {
    fail(ErrorKind::Runtime, "shifts and dimensions must align. shifts: ", shifts.size(),
         ", dims:", dims.size());
  }
  if (m.ndim == 0 && !dims.empty()) {
    fail(ErrorKind::Index, "Dimension specified as ", dims[0],
         " but tensor has no dimensions\nThere is nothing to roll.");
  }
  for (int64_t d : dims) wrap_axis(d, m.ndim);
  push_same("roll_cpu", m, out);
}

void run_roll(const KernelCall& c) {
  const Meta& m = *c.in[0].meta;
  if (m.numel == 0) return;
  Ints ints(c.ints);
  const auto shifts = ints.list(), dims = ints.list();
  GilRelease unlocked(is_long(m.numel));
  View from = c.in[0].view(), to = c.out[0].view();
  if (!dims.empty()) {
    std::vector<int> axes;
    for (int64_t d : dims) axes.push_back(wrap_axis(d, m.ndim));
    return roll(from, shifts, axes, to);
  }
  // Without axes the tensor moves as if it were flat.
  const Ready flat(from, from.dtype, true);
  const int64_t one = 1;
  const int axes[1] = {0};
  from.data = flat.view().data;
  from.ndim = to.ndim = 1;
  from.shape = to.shape = &m.numel;
  from.strides = to.strides = &one;
  roll(from, shifts.first(1), axes, to);
}

// --- Triangles

template <bool kLower> void infer_triangle(std::span<const Operand> in, Ints, Metas& out) {
  const Meta& m = *in[0].meta;
  if (m.ndim < 2) {
    fail(ErrorKind::Shape, kLower ? "tril" : "triu",
         ": input tensor must have at least 2 dimensions\nIt has ", int{m.ndim}, ".");
  }
  push_same(kLower ? "tril" : "triu", m, out);
}

template <void (*kKernel)(const View&, int64_t, const View&)> void run_triangle(const KernelCall& c) {
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  kKernel(c.in[0].view(), Ints(c.ints).next(), c.out[0].view());
}

// --- repeat

void infer_repeat(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const auto repeats = ints.list();
  if (repeats.size() < m.ndim) {
    fail(ErrorKind::Shape,
         "Number of dimensions of repeat dims can not be smaller than number of dimensions of ",
         "tensor\nGive one number of repeats for each of the ", int{m.ndim}, " dimensions.");
  }
  if (repeats.size() > kMaxDims) fail(ErrorKind::Shape, "pullback supports up to ", kMaxDims, " dimensions");
  Dims shape(repeats);
  const int extra = shape.n - m.ndim;
  for (int a = extra; a < shape.n; ++a) shape[a] *= m.size(a - extra);
  for (int a = 0; a < shape.n; ++a) {
    if (shape[a] >= 0) continue;
    fail(ErrorKind::Runtime, "Trying to create tensor with negative dimension ", shape[a], ": ",
         shape_text(shape));
  }
  require_storage("copy_", m.dtype);
  out.push_back(Meta::contiguous(m.dtype, shape));
}

// Each axis of the result is two: which copy, and where in it.
void run_repeat(const KernelCall& c) {
  const Meta &m = *c.in[0].meta, &result = *c.out[0].meta;
  if (result.numel == 0) return;
  const int extra = result.ndim - m.ndim;
  int64_t shape[2 * kMaxDims], from[2 * kMaxDims], to[2 * kMaxDims];
  for (int a = 0; a < result.ndim; ++a) {
    const int64_t size = a < extra ? 1 : m.size(a - extra);
    shape[2 * a] = result.size(a) / size;
    from[2 * a] = 0;
    to[2 * a] = size * result.stride(a);
    shape[2 * a + 1] = size;
    from[2 * a + 1] = a < extra ? 0 : m.stride(a - extra);
    to[2 * a + 1] = result.stride(a);
  }
  const int n = 2 * result.ndim;
  GilRelease unlocked(is_long(result.numel));
  strided_copy(View{c.out[0].data, m.dtype, n, shape, to}, View{c.in[0].data, m.dtype, n, shape, from});
}

// --- Constants

void infer_zeros(std::span<const Operand> in, Ints ints, Metas& out) {
  const auto size = ints.list();
  for (int64_t s : size) {
    if (s < 0) {
      fail(ErrorKind::Runtime, "Trying to create tensor with negative dimension ", s, ": ", shape_text(size));
    }
  }
  out.push_back(Meta::contiguous(in[0].meta->dtype, size));
}

void run_zeros(const KernelCall& c) {
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  fill_zero(c.out[0].view());
}

void infer_full(std::span<const Operand> in, Ints, Metas& out) {
  if (in.size() != 2 || in[1].meta)
    fail(ErrorKind::Type, "full takes a number\nGive the value of a tensor: t.item().");
  push_same("fill_cpu", *in[0].meta, out);
}

void run_full(const KernelCall& c) {
  alignas(8) char number[8] = {};
  require_fits(c.scalars[0], c.out[0].meta->dtype);
  store_scalar(c.scalars[0], c.out[0].meta->dtype, number);
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  fill(c.out[0].view(), number);
}

}  // namespace

std::span<const KernelRow> assembling_rows() {
  static constexpr KernelRow kRows[] = {
      {"cat", infer_cat, run_cat, false},
      {"flip", infer_flip, run_flip, false},
      {"roll", infer_roll, run_roll, false},
      {"tril", infer_triangle<true>, run_triangle<tril>, false},
      {"triu", infer_triangle<false>, run_triangle<triu>, false},
      {"repeat", infer_repeat, run_repeat, false},
      {"zeros_of", infer_zeros, run_zeros, false, nullptr, true},
      {"full_like_scalar", infer_full, run_full, false, nullptr, true},
  };
  return kRows;
}

}  // namespace pb
