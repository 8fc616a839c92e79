#include "kernels/assemble.h"

#include <algorithm>
#include <vector>

#include "kernels/copy.h"
#include "kernels/walk.h"

namespace pb {
namespace {

View moved(View v, int64_t elements) {
  v.data = static_cast<char*>(v.data) + elements * size_of(v.dtype);
  return v;
}

}  // namespace

void cat(const View& out, std::span<const View> parts, int axis) {
  int64_t at = 0;
  for (const View& part : parts) {
    View to = moved(out, at * out.strides[axis]);
    to.shape = part.shape;
    strided_copy(to, part);
    at += part.shape[axis];
  }
}

void flip(const View& in, std::span<const bool> axes, const View& out) {
  if (count(in) == 0) return;
  int64_t strides[kMaxAxes];
  int64_t start = 0;
  for (int a = 0; a < in.ndim; ++a) {
    const bool back = axes[static_cast<size_t>(a)];
    strides[a] = back ? -in.strides[a] : in.strides[a];
    if (back) start += in.strides[a] * (in.shape[a] - 1);
  }
  View from = moved(in, start);
  from.strides = strides;
  strided_copy(out, from);
}

void roll(const View& in, std::span<const int64_t> shifts, std::span<const int> dims, const View& out) {
  if (count(in) == 0) return;
  int64_t shift[kMaxAxes] = {};
  for (size_t k = 0; k < dims.size(); ++k) {
    const int64_t size = in.shape[dims[k]];
    int64_t& s = shift[dims[k]];
    s = (s + shifts[k] % size + size) % size;
  }
  // Each rolled axis falls into two pieces: the first size - shift elements, and the rest.
  int64_t shape[kMaxAxes], from[kMaxAxes] = {}, to[kMaxAxes] = {};
  std::copy_n(in.shape, in.ndim, shape);
  std::vector<int> rolled;
  for (int a = 0; a < in.ndim; ++a)
    if (shift[a] != 0) rolled.push_back(a);
  for (uint64_t piece = 0; piece < uint64_t{1} << rolled.size(); ++piece) {
    int64_t from_at = 0, to_at = 0;
    for (size_t k = 0; k < rolled.size(); ++k) {
      const int a = rolled[k];
      const bool tail = piece >> k & 1;
      const int64_t head = in.shape[a] - shift[a];
      shape[a] = tail ? shift[a] : head;
      from[a] = tail ? head : 0;
      to[a] = tail ? 0 : shift[a];
      from_at += from[a] * in.strides[a];
      to_at += to[a] * out.strides[a];
    }
    View source = moved(in, from_at), target = moved(out, to_at);
    source.shape = target.shape = shape;
    strided_copy(target, source);
  }
}

namespace {

// Row i keeps the columns [0, i + diagonal] of the lower triangle, or [i + diagonal, columns) of the upper.
void triangle(const View& in, int64_t diagonal, const View& out, bool lower) {
  Walk<2> w;
  for (int a = 0; a < in.ndim; ++a) w.add(in.shape[a], in.strides[a], out.strides[a]);
  if (w.count() == 0) return;
  const int64_t rows = in.shape[in.ndim - 2], columns = in.shape[in.ndim - 1];
  const int64_t by_in = in.strides[in.ndim - 1], by_out = out.strides[in.ndim - 1];
  visit_size(in.dtype, [&]<class T>() {
    const T* from = data_of<const T>(in);
    T* to = data_of<T>(out);
    const int64_t per_task = columns >= kMoveGrain ? 1 : (kMoveGrain + columns - 1) / columns;
    parallel_chunks(row_count(w), per_task, [&](int64_t begin, int64_t end) {
      int64_t r = begin;
      walk_rows(w, begin, end, [&](const int64_t* at, int64_t) {
        const T* f = from + at[0];
        T* t = to + at[1];
        const int64_t edge = std::clamp(r++ % rows + diagonal + (lower ? 1 : 0), int64_t{0}, columns);
        const int64_t keep_from = lower ? 0 : edge, keep_to = lower ? edge : columns;
        for (int64_t c = 0; c < keep_from; ++c) t[c * by_out] = T{};
        for (int64_t c = keep_from; c < keep_to; ++c) t[c * by_out] = f[c * by_in];
        for (int64_t c = keep_to; c < columns; ++c) t[c * by_out] = T{};
      });
    });
  });
}

}  // namespace

void tril(const View& in, int64_t diagonal, const View& out) { triangle(in, diagonal, out, true); }
void triu(const View& in, int64_t diagonal, const View& out) { triangle(in, diagonal, out, false); }

IndexFault repeat_total(const View& repeats, int64_t* total) {
  const int64_t* data = data_of<const int64_t>(repeats);
  int64_t sum = 0;
  for (int64_t i = 0; i < repeats.shape[0]; ++i) {
    const int64_t times = data[i * repeats.strides[0]];
    if (times < 0) return {true, times, repeats.shape[0], 0};
    sum += times;
  }
  *total = sum;
  return {};
}

void repeat_index(const View& repeats, int64_t* out) {
  const int64_t* data = data_of<const int64_t>(repeats);
  for (int64_t i = 0; i < repeats.shape[0]; ++i) out = std::fill_n(out, data[i * repeats.strides[0]], i);
}

}  // namespace pb
