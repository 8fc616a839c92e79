#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/combine.h"
#include "kernels/copy.h"
#include "kernels/index.h"
#include "kernels/placement.h"
#include "kernels/walk.h"

namespace pb {
namespace {

// A plan for one index tensor along one axis. A self without axes counts as one element.
struct AlongAxis {
  std::vector<std::optional<View>> indices;
  IndexPlan plan;
  int64_t one = 1, position_shape[1], position_stride[1];
  View self;

  AlongAxis(const View& given, int dim, const View& index) : self(given) {
    if (self.ndim == 0) {
      self.ndim = 1;
      self.shape = self.strides = &one;
    }
    View flat = index;
    if (index.ndim == 0) {
      position_shape[0] = position_stride[0] = 1;
      flat.ndim = 1;
      flat.shape = position_shape;
      flat.strides = position_stride;
    }
    indices.resize(static_cast<size_t>(dim) + 1);
    indices.back() = flat;
    bool taken[kMaxAxes] = {};
    taken[dim] = true;
    plan = plan_index({self.shape, static_cast<size_t>(self.ndim)}, {taken, static_cast<size_t>(dim) + 1},
                      {flat.shape, static_cast<size_t>(flat.ndim)});
  }
  AlongAxis(const AlongAxis&) = delete;
  AlongAxis& operator=(const AlongAxis&) = delete;
};

// The other side may lack the axis that a self without axes was given.
struct OtherStrides {
  int64_t none[1] = {0};
  const int64_t* of(const View& v) const { return v.ndim ? v.strides : none; }
};

template <class T, bool kFused> T scaled_add(T a, T b, T alpha) {
  if constexpr (std::is_floating_point_v<T>) {
    return kFused ? std::fma(b, alpha, a) : a + b * alpha;
  } else {
    return AddOp::join(a, ProdOp::join(b, alpha));
  }
}

IndexFault put_along(const View& self, int dim, const View& index, const View& src, bool wrap, Placement* p) {
  const AlongAxis along(self, dim, index);
  return place(along.self, along.indices, along.plan, OtherStrides().of(src), wrap, p);
}

}  // namespace

IndexFault index_select(const View& in, int dim, const View& index, const View& out) {
  Placement p;
  if (IndexFault fault = put_along(in, dim, index, out, false, &p)) return fault;
  gather_placed(p, in, out);
  return {};
}

IndexFault index_add(const View& self, int dim, const View& index, const View& src, const void* alpha) {
  Placement p;
  if (IndexFault fault = put_along(self, dim, index, src, false, &p)) return fault;
  visit_dtype(self.dtype, [&]<class T>() {
    T factor;
    std::memcpy(&factor, alpha, sizeof(T));
    T* to = data_of<T>(self);
    const T* from = data_of<const T>(src);
    if (factor == T(1)) return put_placed(p, to, from, [](T a, T b) { return AddOp::join(a, b); });
    // torch adds whole slices with fused multiply-adds, single elements without.
    if (self.ndim > 1)
      return put_placed(p, to, from, [=](T a, T b) { return scaled_add<T, true>(a, b, factor); });
    put_placed(p, to, from, [=](T a, T b) { return scaled_add<T, false>(a, b, factor); });
  });
  return {};
}

IndexFault index_copy(const View& self, int dim, const View& index, const View& src) {
  Placement p;
  if (IndexFault fault = put_along(self, dim, index, src, false, &p)) return fault;
  visit_size(self.dtype, [&]<class T>() {
    put_placed(p, data_of<T>(self), data_of<const T>(src), [](T, T b) { return b; });
  });
  return {};
}

IndexFault index_fill(const View& self, int dim, const View& index, const void* scalar) {
  const int64_t zeros[kMaxAxes] = {};
  uint64_t held = 0;
  std::memcpy(&held, scalar, static_cast<size_t>(size_of(self.dtype)));
  Placement p;
  const View value{&held, self.dtype, self.ndim, self.shape, zeros};
  if (IndexFault fault = put_along(self, dim, index, value, true, &p)) return fault;
  visit_size(self.dtype, [&]<class T>() {
    put_placed(p, data_of<T>(self), data_of<const T>(value), [](T, T b) { return b; });
  });
  return {};
}

namespace {

// The positions in `flat order` of self as offsets in its memory; `other` has the shape of index.
IndexFault place_flat(const View& self, const View& index, const View& other, Placement* p) {
  const int64_t size = count(self);
  if (IndexFault fault = check_indices(index, -size, size, 0)) return fault;
  const bool plain = is_contiguous(self);
  const Walk<1> w = walk_of(index);
  const int64_t* data = data_of<const int64_t>(index);
  const int64_t by = w.inner_stride(0);
  p->positions.n = count(index);
  if (plain && w.ndim == 1) {
    p->positions.data = data;
    p->positions.step = by;
    p->positions.size = size;
  } else {
    std::vector<int64_t> offsets;
    offsets.reserve(static_cast<size_t>(count(index)));
    walk_all(w, [&](const int64_t* at, int64_t n) {
      for (int64_t k = 0; k < n; ++k) {
        int64_t i = data[at[0] + k * by], offset = 0;
        if (i < 0) i += size;
        if (plain) offset = i;
        for (int a = self.ndim - 1; a >= 0 && !plain; --a) {
          offset += i % self.shape[a] * self.strides[a];
          i /= self.shape[a];
        }
        offsets.push_back(offset);
      }
    });
    p->positions.hold(std::move(offsets));
  }
  const Walk<1> to = walk_of(other);
  if (to.ndim == 1) p->other_step = to.inner_stride(0);
  else p->other_at = offsets_of(to);
  p->before.add(1, int64_t{0}, int64_t{0});
  p->after.add(1, int64_t{0}, int64_t{0});
  return {};
}

}  // namespace

IndexFault take(const View& in, const View& index, const View& out) {
  Placement p;
  if (IndexFault fault = place_flat(in, index, out, &p)) return fault;
  gather_placed(p, in, out);
  return {};
}

IndexFault put(const View& self, const View& index, const View& values, bool accumulate) {
  Placement p;
  if (IndexFault fault = place_flat(self, index, values, &p)) return fault;
  if (accumulate) {
    visit_dtype(self.dtype, [&]<class T>() {
      put_placed(p, data_of<T>(self), data_of<const T>(values), [](T a, T b) { return AddOp::join(a, b); });
    });
  } else {
    visit_size(self.dtype, [&]<class T>() {
      put_placed(p, data_of<T>(self), data_of<const T>(values), [](T, T b) { return b; });
    });
  }
  return {};
}

IndexFault embedding(const View& weight, const View& index, const View& out) {
  const std::optional<View> rows[1] = {index};
  const bool taken[1] = {true};
  const IndexPlan plan = plan_index({weight.shape, static_cast<size_t>(weight.ndim)}, taken,
                                    {index.shape, static_cast<size_t>(index.ndim)});
  Placement p;
  if (IndexFault fault = place(weight, rows, plan, out.strides, false, &p)) return fault;
  gather_placed(p, weight, out);
  return {};
}

namespace {

// The positions sorted into parts by their row, each part in order: one thread adds up all of a row.
struct RowParts {
  std::vector<int64_t> order, end;

  RowParts(const std::vector<int64_t>& rows, int64_t row_count, int64_t parts)
      : order(rows.size()),
        end(static_cast<size_t>(parts) + 1, 0) {
    const int64_t per_part = std::max<int64_t>(1, (row_count + parts - 1) / parts);
    auto part = [&](size_t b) { return static_cast<size_t>(rows[b] / per_part); };
    for (size_t b = 0; b < rows.size(); ++b) ++end[part(b) + 1];
    for (size_t p = 1; p < end.size(); ++p) end[p] += end[p - 1];
    std::vector<int64_t> next(end.begin(), end.end() - 1);
    for (size_t b = 0; b < rows.size(); ++b)
      order[static_cast<size_t>(next[part(b)]++)] = static_cast<int64_t>(b);
  }
  std::span<const int64_t> of(int64_t part) const {
    const auto p = static_cast<size_t>(part);
    return {order.data() + end[p], static_cast<size_t>(end[p + 1] - end[p])};
  }
};

struct RowSums {
  const int64_t* rows;      // the row of weight_grad for each row of grad
  const int64_t* grad_at;   // where each row of grad starts
  int64_t width, to_row, to_by, grad_by, padding;
  const int64_t* times;     // how often a row occurs; null: no scaling

  template <class T> void add(T* to, const T* grad, std::span<const int64_t> which) const {
    for (int64_t b : which) {
      const int64_t row = rows[b];
      if (row == padding) continue;
      T* t = to + row * to_row;
      const T* g = grad + grad_at[b];
      if (times && times[row] > 1) {
        const T scale = static_cast<T>(1.0 / static_cast<double>(times[row]));
        for (int64_t i = 0; i < width; ++i) t[i * to_by] = std::fma(g[i * grad_by], scale, t[i * to_by]);
      } else if (to_by == 1 && grad_by == 1) {
        for (int64_t i = 0; i < width; ++i) t[i] += g[i];
      } else {
        for (int64_t i = 0; i < width; ++i) t[i * to_by] += g[i * grad_by];
      }
    }
  }
};

}  // namespace

IndexFault embedding_backward(const View& grad, const View& index, const View& weight_grad,
                              int64_t padding_idx, bool scale_by_freq) {
  const int64_t n = weight_grad.shape[0], width = weight_grad.shape[1];
  if (IndexFault fault = check_indices(index, 0, n, 0)) return fault;
  const uint64_t zero = 0;
  fill(weight_grad, &zero);
  std::vector<int64_t> rows = offsets_of(walk_of(index));
  for (int64_t& r : rows) r = data_of<const int64_t>(index)[r];
  View starts = grad;
  starts.ndim -= 1;
  const std::vector<int64_t> grad_at = offsets_of(walk_of(starts));
  std::vector<int64_t> times(scale_by_freq ? static_cast<size_t>(n) : 0, 0);
  if (scale_by_freq)
    for (int64_t r : rows) ++times[static_cast<size_t>(r)];
  const RowSums sums{rows.data(),
                     grad_at.data(),
                     width,
                     weight_grad.strides[0],
                     weight_grad.strides[1],
                     grad.strides[grad.ndim - 1],
                     padding_idx,
                     scale_by_freq ? times.data() : nullptr};
  const int64_t count = static_cast<int64_t>(rows.size()) * width > 2 * kMoveGrain ? 16 : 1;
  const RowParts parts(rows, n, count);
  visit_dtype(grad.dtype, [&]<class T>() {
    if constexpr (std::is_floating_point_v<T>) {
      T* to = data_of<T>(weight_grad);
      const T* from = data_of<const T>(grad);
      parallel_chunks(count, 1, [&](int64_t b, int64_t e) {
        for (int64_t p = b; p < e; ++p) sums.add(to, from, parts.of(p));
      });
    }
  });
  return {};
}

}  // namespace pb
