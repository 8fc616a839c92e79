// The transposes of views: zeros with the gradient put where the view looks, and what in-place writes
// through a view mean for its base.
#include <algorithm>
#include <cstring>

#include "core/shape.h"
#include "kernels/combine.h"
#include "kernels/copy.h"
#include "kernels/walk.h"
#include "ops/common.h"
#include "ops/tables.h"
#include "ops/windows.h"

namespace pb {
namespace {

// Whether no element is seen twice; a window that is too tangled to tell counts as overlapping.
bool overlaps(const Window& w) {
  int order[kMaxDims], n = 0;
  for (int a = 0; a < w.shape.n; ++a) {
    if (w.shape[a] == 0) return false;
    if (w.shape[a] > 1) order[n++] = a;
  }
  std::sort(order, order + n, [&](int a, int b) { return w.strides[a] < w.strides[b]; });
  int64_t reach = 0;
  for (int k = 0; k < n; ++k) {
    if (w.strides[order[k]] <= reach) return true;
    reach += (w.shape[order[k]] - 1) * w.strides[order[k]];
  }
  return false;
}

// dst += src in the order of the axes, one after another: dst may be the same element more than once.
void accumulate(const View& dst, const View& src) {
  Walk<2> w;
  for (int a = 0; a < dst.ndim; ++a) w.add(dst.shape[a], dst.strides[a], src.strides[a]);
  if (w.count() == 0) return;
  w.merge();
  visit_dtype(dst.dtype, [&]<class T>() {
    T* to = data_of<T>(dst);
    const T* from = data_of<const T>(src);
    const int64_t by_to = w.inner_stride(0), by_from = w.inner_stride(1);
    walk_all(w, [&](const int64_t* at, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        T& place = to[at[0] + i * by_to];
        place = AddOp::join(place, from[at[1] + i * by_from]);
      }
    });
  });
}

// `window` of the array at `base`, which is all zeros, receives the gradient.
void put_gradient(void* base, const Window& window, const View& grad) {
  const View region = window.over(base, grad.dtype);
  if (overlaps(window)) accumulate(region, grad);
  else strided_copy(region, grad);
}

void check_same_shape(const char* op, const Meta& grad, const Dims& shape) {
  if (Dims(grad.shape()) == shape) return;
  fail(ErrorKind::Shape, op, ": expected a gradient of size ", shape_text(shape), " but got ",
       shape_text(grad.shape()), "\nThe gradient has the shape of the view.");
}

template <Window (*kWindow)(const Window&, Ints&)>
void infer_window(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& grad = *in[0].meta;
  require_storage("view_backward", grad.dtype);
  const auto sizes = ints.list();
  check_same_shape("view_backward", grad, kWindow(whole(sizes), ints).shape);
  out.push_back(Meta::contiguous(grad.dtype, sizes));
}

template <Window (*kWindow)(const Window&, Ints&)> void run_window(const KernelCall& c) {
  Ints ints(c.ints);
  const auto sizes = ints.list();
  const Window window = kWindow(whole(sizes), ints);
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  fill_zero(c.out[0].view());
  put_gradient(c.out[0].data, window, c.in[0].view());
}

// First and one past the last element of a window, from the array's first one.
struct Reach {
  int64_t low = 0, high = 0;
  void include(const Window& w) {
    int64_t first = w.offset, last = w.offset;
    for (int a = 0; a < w.shape.n; ++a) {
      if (w.shape[a] == 0) return;
      const int64_t by = (w.shape[a] - 1) * w.strides[a];
      (by < 0 ? first : last) += by;
    }
    low = std::min(low, first);
    high = std::max(high, last + 1);
  }
};

void infer_as_strided(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& grad = *in[0].meta;
  require_storage("as_strided_backward", grad.dtype);
  const auto sizes = ints.list();
  ints.list();
  check_same_shape("as_strided_backward", grad, strided_window(ints).shape);
  out.push_back(Meta::contiguous(grad.dtype, sizes));
}

void run_as_strided(const KernelCall& c) {
  Ints ints(c.ints);
  Window base{Dims(ints.list()), Dims(), 0};
  base.strides = Dims(ints.list());
  Window window = strided_window(ints);
  const View out = c.out[0].view();
  const int64_t numel = c.out[0].meta->numel;
  Reach reach, inside;
  reach.include(window);
  inside.include(whole(base.shape));
  const bool plain = Meta::intern(out.dtype, base.shape, base.strides)->is_contiguous;
  GilRelease unlocked(is_long(numel));
  if (plain && reach.low >= inside.low && reach.high <= inside.high) {
    fill_zero(out);
    return put_gradient(out.data, window, c.in[0].view());
  }
  // The base lies otherwise in its memory, or the view leaves it: the sums are made in memory laid out as the
  // base's, and the base's elements are read from there.
  reach.include(base);
  const int64_t length[1] = {reach.high - reach.low};
  const Temp memory(out.dtype, length);
  fill_zero(memory.view());
  window.offset -= reach.low;
  base.offset -= reach.low;
  put_gradient(memory.data(), window, c.in[0].view());
  strided_copy(out, base.over(memory.data(), out.dtype));
}

// What the window shows of elements that lie as a base with the given strides does: the transpose of the above.
void infer_as_strided_take(std::span<const Operand> in, Ints ints, Metas& out) {
  require_storage("as_strided", in[0].meta->dtype);
  ints.list();
  out.push_back(Meta::contiguous(in[0].meta->dtype, strided_window(ints).shape));
}

void run_as_strided_take(const KernelCall& c) {
  Ints ints(c.ints);
  Window base{Dims(c.in[0].meta->shape()), Dims(ints.list()), 0};
  Window window = strided_window(ints);
  const DType d = c.out[0].meta->dtype;
  Reach reach;
  reach.include(base);
  reach.include(window);
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  const int64_t length[1] = {reach.high - reach.low};
  const Temp memory(d, length);
  fill_zero(memory.view());
  base.offset -= reach.low;
  window.offset -= reach.low;
  strided_copy(base.over(memory.data(), d), c.in[0].view());
  strided_copy(c.out[0].view(), window.over(memory.data(), d));
}

void check_dense(const char* op, const Meta& m) {
  if (m.is_dense) return;
  fail(ErrorKind::Runtime, op, ": the base has size ", shape_text(m.shape()), " and stride ",
       shape_text(m.strides()), ", which is not dense\nMake the base contiguous first.");
}

void infer_copy_slices(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &base = *in[0].meta, &value = *in[1].meta;
  require_storage("copy_", value.dtype);
  check_same_shape("copy_slices", value, strided_window(ints).shape);
  check_dense("copy_slices", base);
  out.push_back(Ref<Meta>(const_cast<Meta*>(&base)));
}

void run_copy_slices(const KernelCall& c) {
  Ints ints(c.ints);
  const Window window = strided_window(ints);
  const DType d = c.out[0].meta->dtype;
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  if (const int64_t bytes = c.out[0].meta->bytes()) {
    std::memcpy(c.out[0].data, c.in[0].data, static_cast<size_t>(bytes));
  }
  copy_converted(window.over(c.out[0].data, d), c.in[1].view());
}

void infer_zero_slices(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& grad = *in[0].meta;
  require_storage("zero_slices", grad.dtype);
  out.push_back(Meta::intern(grad.dtype, grad.shape(), ints.list()));
  strided_window(ints);
  check_dense("zero_slices", *out.back());
}

void run_zero_slices(const KernelCall& c) {
  Ints ints(c.ints);
  ints.list();
  const Window window = strided_window(ints);
  GilRelease unlocked(is_long(c.out[0].meta->numel));
  strided_copy(c.out[0].view(), c.in[0].view());
  fill_zero(window.over(c.out[0].data, c.out[0].meta->dtype));
}

}  // namespace

std::span<const KernelRow> view_gradient_rows() {
  static constexpr KernelRow kRows[] = {
      {"select_backward", infer_window<select_window>, run_window<select_window>, false},
      {"slice_backward", infer_window<slice_window>, run_window<slice_window>, false},
      {"diagonal_backward", infer_window<diagonal_window>, run_window<diagonal_window>, false},
      {"unfold_backward", infer_window<unfold_window>, run_window<unfold_window>, false},
      {"as_strided_backward", infer_as_strided, run_as_strided, false},
      {"as_strided_take", infer_as_strided_take, run_as_strided_take, false},
      {"copy_slices", infer_copy_slices, run_copy_slices, false},
      {"zero_slices", infer_zero_slices, run_zero_slices, false},
  };
  return kRows;
}

}  // namespace pb
