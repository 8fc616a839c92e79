#include "kernels/index.h"
#include "kernels/walk.h"

namespace pb {

int64_t count_nonzero(const View& in) {
  const Walk<1> w = [&] {
    Walk<1> all;
    for (int a = 0; a < in.ndim; ++a) all.add(in.shape[a], in.strides[a]);
    all.merge();
    return all;
  }();
  int64_t total = 0;
  visit_dtype(in.dtype, [&]<class T>() {
    const T* data = data_of<const T>(in);
    const int64_t by = w.inner_stride(0);
    walk_all(w, [&](const int64_t* at, int64_t n) {
      const T* p = data + at[0];
      int64_t some = 0;
      if (by == 1)
        for (int64_t i = 0; i < n; ++i) some += p[i] != T(0);
      else
        for (int64_t i = 0; i < n; ++i) some += p[i * by] != T(0);
      total += some;
    });
  });
  return total;
}

void nonzero(const View& in, int64_t* out) {
  // Not merged: the coordinates are the result. A number without axes has none to write.
  if (in.ndim == 0) return;
  Walk<1> w;
  for (int a = 0; a < in.ndim; ++a) w.add(in.shape[a], in.strides[a]);
  if (w.count() == 0) return;
  const int outer = in.ndim - 1;
  visit_dtype(in.dtype, [&]<class T>() {
    const T* data = data_of<const T>(in);
    const int64_t by = in.strides[outer];
    int64_t row = 0;
    walk_all(w, [&](const int64_t* at, int64_t n) {
      int64_t coordinate[kMaxAxes];
      int64_t rest = row++;
      bool known = false;
      for (int64_t i = 0; i < n; ++i) {
        if (data[at[0] + i * by] == T(0)) continue;
        for (int a = outer - 1; a >= 0 && !known; --a) {
          coordinate[a] = rest % w.shape[a];
          rest /= w.shape[a];
        }
        known = true;
        for (int a = 0; a < outer; ++a) *out++ = coordinate[a];
        *out++ = i;
      }
    });
  });
}

namespace {

Walk<2> masked_walk(const View& v, const View& mask) {
  Walk<2> w;
  for (int a = 0; a < v.ndim; ++a) w.add(v.shape[a], v.strides[a], mask.strides[a]);
  w.merge();
  return w;
}

}  // namespace

void masked_select(const View& in, const View& mask, void* out) {
  const Walk<2> w = masked_walk(in, mask);
  if (w.count() == 0) return;
  const bool* chosen = data_of<const bool>(mask);
  const int64_t by = w.inner_stride(0), by_mask = w.inner_stride(1);
  visit_size(in.dtype, [&]<class T>() {
    const T* from = data_of<const T>(in);
    T* to = static_cast<T*>(out);
    walk_all(w, [&](const int64_t* at, int64_t n) {
      const T* f = from + at[0];
      const bool* m = chosen + at[1];
      for (int64_t i = 0; i < n; ++i)
        if (m[i * by_mask]) *to++ = f[i * by];
    });
  });
}

IndexFault masked_scatter(const View& self, const View& mask, const View& source) {
  const int64_t needed = count_nonzero(mask), there = count(source);
  if (needed > there) return {true, needed, there, 0};
  const Walk<2> w = masked_walk(self, mask);
  if (w.count() == 0) return {};
  const bool* chosen = data_of<const bool>(mask);
  const int64_t by = w.inner_stride(0), by_mask = w.inner_stride(1);
  visit_size(self.dtype, [&]<class T>() {
    T* to = data_of<T>(self);
    const T* from = data_of<const T>(source);
    walk_all(w, [&](const int64_t* at, int64_t n) {
      T* t = to + at[0];
      const bool* m = chosen + at[1];
      for (int64_t i = 0; i < n; ++i)
        if (m[i * by_mask]) t[i * by] = *from++;
    });
  });
  return {};
}

}  // namespace pb
