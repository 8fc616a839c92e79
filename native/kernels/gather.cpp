#include <algorithm>
#include <cstring>

#include "kernels/combine.h"
#include "kernels/index.h"
#include "kernels/walk.h"

namespace pb {

IndexFault check_indices(const View& index, int64_t low, int64_t size, int axis) {
  Walk<1> w;
  for (int a = 0; a < index.ndim; ++a) w.add(index.shape[a], index.strides[a]);
  w.merge();
  if (w.count() == 0) return {};
  const int64_t* data = data_of<const int64_t>(index);
  const int64_t step = w.inner_stride(0);
  const uint64_t range = static_cast<uint64_t>(size - low);
  IndexFault fault;
  walk_all(w, [&](const int64_t* at, int64_t n) {
    const int64_t* p = data + at[0];
    bool bad = false;
    for (int64_t i = 0; i < n; ++i) bad |= static_cast<uint64_t>(p[i * step] - low) >= range;
    if (!bad || fault) return;
    while (static_cast<uint64_t>(*p - low) < range) p += step;
    fault = {true, *p, size, axis};
  });
  return fault;
}

namespace {

// Over index's shape: operand 0 is indexed along dim (so it does not move there), the others move with index.
Walk<3> index_walk(const View& indexed, int dim, const View& index, const View& other) {
  Walk<3> w;
  for (int a = 0; a < index.ndim; ++a)
    w.add(index.shape[a], a == dim ? 0 : indexed.strides[a], index.strides[a], other.strides[a]);
  return w;
}

int64_t step_along(const View& v, int dim) { return v.ndim ? v.strides[dim] : 0; }
int64_t size_along(const View& v, int dim) { return v.ndim ? v.shape[dim] : 1; }

// The axis to cut for threads where one destination must stay with one thread: the largest besides dim.
int free_axis(const View& index, int dim) {
  int best = -1;
  for (int a = 0; a < index.ndim; ++a)
    if (a != dim && (best < 0 || index.shape[a] > index.shape[best])) best = a;
  return best;
}

struct Scatter {
  const View& self;
  int dim;
  const View& index;
  const View& src;

  // Calls f(place in self, source value) for every element of index, in order for one destination.
  template <class T, class F> void each(T* self_data, F&& f) const {
    const Walk<3> w = index_walk(self, dim, index, src);
    const int64_t* idx = data_of<const int64_t>(index);
    const T* from = data_of<const T>(src);
    const int64_t step = step_along(self, dim);
    walk_split(w, free_axis(index, dim), [&](const int64_t* at, const int64_t* by, int64_t n) {
      // Copies: for all that the compiler knows, a store of elements changes what lies behind references.
      T* to = self_data + at[0];
      const int64_t* index_at = idx + at[1];
      const T* value = from + at[2];
      const int64_t along = step, by_self = by[0], by_index = by[1], by_value = by[2];
      for (int64_t i = 0; i < n; ++i)
        f(to + i * by_self + index_at[i * by_index] * along, value[i * by_value]);
    });
  }
};

template <class Op, class T> void scatter_op(const Scatter& s, bool include_self) {
  T* data = data_of<T>(s.self);
  if constexpr (!std::is_same_v<Op, SetOp>)
    if (!include_self) s.each(data, [](T* place, T) { *place = Op::template identity<T>(); });
  s.each(data, [](T* place, T value) { *place = Op::join(*place, value); });
}

template <class T> void scatter_mean(const Scatter& s, bool include_self) {
  T* data = data_of<T>(s.self);
  // Counts lie as self does in memory, so that a place in one is a place in the other.
  int64_t low = 0, high = 0;
  for (int a = 0; a < s.self.ndim; ++a)
    (s.self.strides[a] < 0 ? low : high) += s.self.strides[a] * (s.self.shape[a] - 1);
  std::vector<int64_t> counts(static_cast<size_t>(high - low + 1), 0);
  int64_t* n = counts.data() - low;
  scatter_op<AddOp, T>(s, include_self);
  s.each(data, [=](T* place, T) { ++n[place - data]; });
  s.each(data, [=](T* place, T) {
    int64_t& times = n[place - data];
    if (times == 0) return;  // divided already
    *place = mean_of(*place, times + (include_self ? 1 : 0));
    times = 0;
  });
}

}  // namespace

IndexFault gather(const View& in, int dim, const View& index, const View& out) {
  if (count(index) == 0) return {};
  if (IndexFault fault = check_indices(index, 0, size_along(in, dim), dim)) return fault;
  Walk<3> w = index_walk(in, dim, index, out);
  w.merge();
  const int64_t* idx = data_of<const int64_t>(index);
  const int64_t step = step_along(in, dim);
  const int64_t by_in = w.inner_stride(0), by_index = w.inner_stride(1), by_out = w.inner_stride(2);
  visit_size(in.dtype, [&]<class T>() {
    const T* from = data_of<const T>(in);
    T* to = data_of<T>(out);
    walk_parallel(w, [=](const int64_t* at, int64_t n) {
      const T* f = from + at[0];
      const int64_t* i = idx + at[1];
      T* t = to + at[2];
      if (by_in == 0 && step == 1 && by_index == 1 && by_out == 1) {
        for (int64_t k = 0; k < n; ++k) t[k] = f[i[k]];
        return;
      }
      for (int64_t k = 0; k < n; ++k) t[k * by_out] = f[k * by_in + i[k * by_index] * step];
    });
  });
  return {};
}

IndexFault scatter(const View& self, int dim, const View& index, const View& src, Combine how,
                   bool include_self) {
  if (count(index) == 0) return {};
  if (IndexFault fault = check_indices(index, 0, size_along(self, dim), dim)) return fault;
  const Scatter s{self, dim, index, src};
  if (how == Combine::Set) {
    visit_size(self.dtype, [&]<class T>() { scatter_op<SetOp, T>(s, true); });
    return {};
  }
  visit_dtype(self.dtype, [&]<class T>() {
    switch (how) {
      case Combine::Prod: return scatter_op<ProdOp, T>(s, include_self);
      case Combine::Mean: return scatter_mean<T>(s, include_self);
      case Combine::Amax: return scatter_op<AmaxOp, T>(s, include_self);
      case Combine::Amin: return scatter_op<AminOp, T>(s, include_self);
      default: return scatter_op<AddOp, T>(s, include_self);
    }
  });
  return {};
}

IndexFault scatter_fill(const View& self, int dim, const View& index, const void* scalar) {
  const int64_t zeros[kMaxAxes] = {};
  uint64_t held = 0;
  std::memcpy(&held, scalar, static_cast<size_t>(size_of(self.dtype)));
  return scatter(self, dim, index, View{&held, self.dtype, index.ndim, index.shape, zeros}, Combine::Set);
}

}  // namespace pb
