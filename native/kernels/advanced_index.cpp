#include <algorithm>
#include <cstring>

#include "kernels/combine.h"
#include "kernels/index.h"
#include "kernels/placement.h"
#include "kernels/walk.h"

namespace pb {

IndexPlan plan_index(std::span<const int64_t> self_shape, std::span<const bool> taken,
                     std::span<const int64_t> index_shape) {
  IndexPlan plan;
  const int ndim = static_cast<int>(self_shape.size());
  for (int a = 0; a < ndim; ++a)
    if (a < static_cast<int>(taken.size()) && taken[a]) plan.indexed.push_back(a);
  const bool adjacent = !plan.indexed.empty() && plan.indexed.back() - plan.indexed.front() + 1 ==
                                                     static_cast<int>(plan.indexed.size());
  const int gap = adjacent ? plan.indexed.front() : 0;
  for (int a = 0; a < ndim; ++a) {
    if (std::find(plan.indexed.begin(), plan.indexed.end(), a) != plan.indexed.end()) continue;
    (a < gap ? plan.before : plan.after).push_back(a);
  }
  plan.first = static_cast<int>(plan.before.size());
  plan.index_ndim = static_cast<int>(index_shape.size());
  for (int a : plan.before) plan.shape.push_back(self_shape[a]);
  plan.shape.insert(plan.shape.end(), index_shape.begin(), index_shape.end());
  for (int a : plan.after) plan.shape.push_back(self_shape[a]);
  return plan;
}

std::vector<int64_t> offsets_of(const Walk<1>& w) {
  std::vector<int64_t> all;
  all.reserve(static_cast<size_t>(w.count()));
  walk_all(w, [&](const int64_t* at, int64_t n) {
    for (int64_t i = 0; i < n; ++i) all.push_back(at[0] + i * w.inner_stride(0));
  });
  return all;
}

Walk<1> walk_of(const View& v) {
  Walk<1> w;
  for (int a = 0; a < v.ndim; ++a) w.add(v.shape[a], v.strides[a]);
  w.merge();
  return w;
}

namespace {

IndexFault read_positions(const View& self, std::span<const std::optional<View>> indices,
                          const IndexPlan& plan, bool wrap, Positions* p) {
  const View& first = *indices[static_cast<size_t>(plan.indexed[0])];
  p->n = count(first);
  if (p->n == 0) return {};
  for (int a : plan.indexed) {
    const int64_t size = self.shape[a];
    if (IndexFault fault = check_indices(*indices[static_cast<size_t>(a)], wrap ? -size : 0, size, a))
      return fault;
  }
  const Walk<1> shape = walk_of(first);
  if (plan.indexed.size() == 1 && shape.ndim == 1) {
    p->data = data_of<const int64_t>(first);
    p->step = shape.stride[0][0];
    p->size = self.shape[plan.indexed[0]];
    p->scale = self.strides[plan.indexed[0]];
    return {};
  }
  std::vector<int64_t> offsets(static_cast<size_t>(p->n), 0);
  for (int a : plan.indexed) {
    const View& v = *indices[static_cast<size_t>(a)];
    const int64_t* data = data_of<const int64_t>(v);
    const int64_t size = self.shape[a], stride = self.strides[a];
    const Walk<1> w = walk_of(v);
    const int64_t by = w.inner_stride(0);
    int64_t* to = offsets.data();
    walk_all(w, [&](const int64_t* at, int64_t n) {
      for (int64_t k = 0; k < n; ++k) {
        const int64_t i = data[at[0] + k * by];
        *to++ += (i + ((i >> 63) & size)) * stride;
      }
    });
  }
  p->hold(std::move(offsets));
  return {};
}

}  // namespace

IndexFault place(const View& self, std::span<const std::optional<View>> indices, const IndexPlan& plan,
                 const int64_t* other_strides, bool wrap, Placement* to) {
  if (IndexFault fault = read_positions(self, indices, plan, wrap, &to->positions)) return fault;
  const int nb = static_cast<int>(plan.before.size());
  for (int k = 0; k < nb; ++k) to->before.add(plan.shape[k], self.strides[plan.before[k]], other_strides[k]);
  Walk<1> middle;
  for (int k = 0; k < plan.index_ndim; ++k) middle.add(plan.shape[nb + k], other_strides[nb + k]);
  for (size_t k = 0; k < plan.after.size(); ++k) {
    const size_t r = static_cast<size_t>(nb + plan.index_ndim) + k;
    to->after.add(plan.shape[r], self.strides[plan.after[k]], other_strides[r]);
  }
  to->before.merge();
  to->after.merge();
  middle.merge();
  if (middle.ndim == 1) to->other_step = middle.stride[0][0];
  else to->other_at = offsets_of(middle);
  to->before.add(1, int64_t{0}, int64_t{0});  // so that each of its elements is a row
  if (to->single() && row_count(to->before) > 1) to->positions.resolve();
  return {};
}

namespace {

// Short rows in pieces of 16 bytes, the last of which may overlap the one before: cheaper than a call.
template <class T> inline void move_run(T* to, const T* from, int64_t n) {
  const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
  auto* t = reinterpret_cast<char*>(to);
  const auto* f = reinterpret_cast<const char*>(from);
  if (bytes > 256) {
    std::memcpy(t, f, static_cast<size_t>(bytes));
  } else if (bytes >= 16) {
    for (int64_t at = 0; at + 16 <= bytes; at += 16) std::memcpy(t + at, f + at, 16);
    std::memcpy(t + bytes - 16, f + bytes - 16, 16);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

template <class T> void gather_some(const Placement& p, const T* self, T* out, const int64_t* start,
                                    int64_t first, int64_t last) {
  constexpr int64_t kAhead = 12;
  const Positions& pos = p.positions;
  const int64_t by_self = p.after.inner_stride(0), by_out = p.after.inner_stride(1);
  if (p.single() && p.other_at.empty()) {
    // Copies: a store of elements might change what lies in the placement, for all that the compiler knows.
    const PositionReader at = pos.reader();
    const int64_t step = p.other_step;
    const T* from = self + start[0];
    T* to = out + start[1];
    if (at.plain() && step == 1)
      for (int64_t b = first; b < last; ++b) to[b] = from[at.data[b]];
    else
      for (int64_t b = first; b < last; ++b) to[b * step] = from[at[b]];
    return;
  }
  for (int64_t b = first; b < last; ++b) {
    if (b + kAhead < last) __builtin_prefetch(self + start[0] + pos[b + kAhead]);
    after_rows(p, start[0] + pos[b], start[1] + p.other(b), [&](const int64_t* at, int64_t n) {
      if (by_self == 1 && by_out == 1) return move_run(out + at[1], self + at[0], n);
      for (int64_t i = 0; i < n; ++i) out[at[1] + i * by_out] = self[at[0] + i * by_self];
    });
  }
}

}  // namespace

void gather_placed(const Placement& p, const View& self, const View& out) {
  if (p.empty()) return;
  const int64_t n = p.positions.n, inner = p.after.count();
  const int64_t per_task = inner >= kMoveGrain ? 1 : (kMoveGrain + inner - 1) / inner;
  visit_size(self.dtype, [&]<class T>() {
    const T* from = data_of<const T>(self);
    T* to = data_of<T>(out);
    parallel_chunks(row_count(p.before) * n, per_task, [&](int64_t begin, int64_t end) {
      int64_t r = begin / n;
      walk_rows(p.before, r, (end + n - 1) / n, [&](const int64_t* at, int64_t) {
        gather_some(p, from, to, at, std::max(begin - r * n, int64_t{0}), std::min(end - r * n, n));
        ++r;
      });
    });
  });
}

// Strides of `v` over `shape`, which it broadcasts to (aligned at the last axis).
std::vector<int64_t> broadcast_strides(const View& v, const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 0);
  const size_t extra = shape.size() - std::min(shape.size(), static_cast<size_t>(v.ndim));
  const size_t skip = static_cast<size_t>(v.ndim) - (shape.size() - extra);  // leading axes of size 1
  for (size_t a = extra; a < shape.size(); ++a) {
    const size_t k = a - extra + skip;
    strides[a] = v.shape[k] == 1 ? 0 : v.strides[k];
  }
  return strides;
}

namespace {

void plan_of(const View& self, std::span<const std::optional<View>> indices, IndexPlan* plan) {
  bool taken[kMaxAxes] = {};
  const View* some = nullptr;
  for (size_t a = 0; a < indices.size(); ++a) {
    taken[a] = indices[a].has_value();
    if (taken[a]) some = &*indices[a];
  }
  *plan = plan_index({self.shape, static_cast<size_t>(self.ndim)}, {taken, indices.size()},
                     {some->shape, static_cast<size_t>(some->ndim)});
}

}  // namespace

IndexFault index(const View& self, std::span<const std::optional<View>> indices, const View& out) {
  IndexPlan plan;
  plan_of(self, indices, &plan);
  Placement p;
  if (IndexFault fault = place(self, indices, plan, out.strides, true, &p)) return fault;
  gather_placed(p, self, out);
  return {};
}

IndexFault index_put(const View& self, std::span<const std::optional<View>> indices, const View& values,
                     bool accumulate) {
  IndexPlan plan;
  plan_of(self, indices, &plan);
  Placement p;
  const std::vector<int64_t> strides = broadcast_strides(values, plan.shape);
  if (IndexFault fault = place(self, indices, plan, strides.data(), true, &p)) return fault;
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

}  // namespace pb
