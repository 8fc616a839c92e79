#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/copy.h"
#include "kernels/index.h"
#include "kernels/placement.h"
#include "kernels/walk.h"

namespace pb {
namespace {

// f(element) in order, for any integer dtype.
template <class F> void each_integer(const View& in, F&& f) {
  const Walk<1> w = walk_of(in);
  if (w.count() == 0) return;
  const int64_t by = w.inner_stride(0);
  visit_dtype(in.dtype, [&]<class T>() {
    const T* data = data_of<const T>(in);
    walk_all(w, [&](const int64_t* at, int64_t n) {
      for (int64_t i = 0; i < n; ++i) f(static_cast<int64_t>(data[at[0] + i * by]));
    });
  });
}

// A NaN is larger than everything.
template <class T> bool less(T a, T b) { return a < b || (b != b && a == a); }

std::vector<int64_t> contiguous_strides(const View& v) {
  std::vector<int64_t> strides(static_cast<size_t>(v.ndim));
  int64_t step = 1;
  for (int a = v.ndim - 1; a >= 0; --a) {
    strides[static_cast<size_t>(a)] = step;
    step *= v.shape[a];
  }
  return strides;
}

void copy_flat(const View& in, void* to) {
  const std::vector<int64_t> strides = contiguous_strides(in);
  strided_copy(View{to, in.dtype, in.ndim, in.shape, strides.data()}, in);
}

// Runs of equal neighbours: same(i) says whether element i equals the one before. starts(i) for each first
// one.
template <class Same, class Start> int64_t mark_runs(int64_t n, const int64_t* order, int64_t* inverse,
                                                     int64_t* counts, Same&& same, Start&& start) {
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (i == 0 || !same(i)) {
      start(found, i);
      if (counts) counts[found] = 0;
      ++found;
    }
    if (inverse) inverse[order ? order[i] : i] = found - 1;
    if (counts) ++counts[found - 1];
  }
  return found;
}

// The first of each run moves to the front. The element before is held: it may be overwritten already.
template <class T> int64_t keep_runs(T* out, int64_t n, int64_t* inverse, int64_t* counts) {
  T previous{};
  return mark_runs(
      n, nullptr, inverse, counts, [&](int64_t i) { return out[i] == previous; },
      [&](int64_t found, int64_t i) { previous = out[found] = out[i]; });
}

// An unsigned number in the order of the values: NaNs last and alike, both zeros alike.
template <class T> auto sort_key(T v) {
  using Key =
      std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint8_t>>;
  constexpr Key top = static_cast<Key>(Key{1} << (sizeof(Key) * 8 - 1));
  if constexpr (std::is_floating_point_v<T>) {
    if (v != v) return static_cast<Key>(~Key{0});
    if (v == T(0)) return top;
    const Key bits = std::bit_cast<Key>(v);
    return static_cast<Key>(bits & top ? ~bits : bits | top);
  } else {
    return static_cast<Key>(static_cast<Key>(v) ^ (std::is_signed_v<T> ? top : Key{0}));
  }
}

// Stable, a byte of the key at a time from the last; bytes in which all keys agree are passed over.
template <class T> std::vector<int64_t> sorted_order(const T* values, int64_t n) {
  using Key = decltype(sort_key(T()));
  struct Item {
    Key key;
    int64_t at;
  };
  std::vector<Item> items(static_cast<size_t>(n)), other;
  for (int64_t i = 0; i < n; ++i) items[static_cast<size_t>(i)] = {sort_key(values[i]), i};
  if (n < 1024) {
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
  } else {
    other.resize(items.size());
    std::vector<std::array<size_t, 256>> histogram(sizeof(Key));
    for (auto& h : histogram) h.fill(0);
    for (const Item& item : items)
      for (size_t d = 0; d < sizeof(Key); ++d) ++histogram[d][item.key >> (8 * d) & 255];
    for (size_t d = 0; d < sizeof(Key); ++d) {
      auto& start = histogram[d];
      if (start[items[0].key >> (8 * d) & 255] == items.size()) continue;
      size_t sum = 0;
      for (size_t& s : start) sum += std::exchange(s, sum);
      for (const Item& item : items) other[start[item.key >> (8 * d) & 255]++] = item;
      items.swap(other);
    }
  }
  std::vector<int64_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = items[i].at;
  return order;
}

template <class T> int64_t unique_typed(const View& in, T* out, int64_t* inverse, int64_t* counts) {
  const int64_t n = count(in);
  copy_flat(in, out);
  const std::unique_ptr<T[]> values(new T[static_cast<size_t>(n)]);
  std::copy_n(out, n, values.get());
  const std::vector<int64_t> order = sorted_order(values.get(), n);
  auto value = [&](int64_t i) { return values[static_cast<size_t>(order[static_cast<size_t>(i)])]; };
  return mark_runs(
      n, order.data(), inverse, counts, [&](int64_t i) { return value(i) == value(i - 1); },
      [&](int64_t found, int64_t i) { out[found] = value(i); });
}

}  // namespace

IndexFault one_hot(const View& index, int64_t classes, int64_t* out) {
  if (IndexFault fault = check_indices(index, 0, classes, 0)) return fault;
  std::fill_n(out, count(index) * classes, int64_t{0});
  each_integer(index, [&](int64_t i) {
    out[i] = 1;
    out += classes;
  });
  return {};
}

IndexFault bincount_length(const View& in, int64_t minlength, int64_t* length) {
  IndexFault fault;
  int64_t longest = minlength;
  each_integer(in, [&](int64_t i) {
    if (i < 0 && !fault) fault = {true, i, 0, 0};
    longest = std::max(longest, i + 1);
  });
  *length = longest;
  return fault;
}

void bincount(const View& in, int64_t length, int64_t* out) {
  std::fill_n(out, length, int64_t{0});
  each_integer(in, [&](int64_t i) { ++out[i]; });
}

void bincount_weighted(const View& in, const View& weights, int64_t length, void* out) {
  const std::vector<int64_t> at = offsets_of(walk_of(weights));
  visit_dtype(weights.dtype, [&]<class T>() {
    T* to = static_cast<T*>(out);
    std::fill_n(to, length, T(0));
    const T* w = data_of<const T>(weights);
    const int64_t* next = at.data();
    each_integer(in, [&](int64_t i) { to[i] = static_cast<T>(to[i] + w[*next++]); });
  });
}

namespace {

template <class T> struct SortedRow {
  const T* data;
  int64_t by, n;
  const int64_t* order;
  int64_t order_by;

  T operator[](int64_t i) const { return data[(order ? order[i * order_by] : i) * by]; }
  int64_t find(T value, bool right) const {
    int64_t low = 0, high = n;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      const T there = (*this)[middle];
      // Written so that a NaN that is looked for goes to the end.
      if (right ? !(there > value) : !(there >= value)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
};

}  // namespace

IndexFault searchsorted(const View& sorted, const View& values, bool right, const View* sorter,
                        const View& out) {
  const int last = sorted.ndim - 1;
  const int64_t n = sorted.shape[last];
  if (sorter)
    if (IndexFault fault = check_indices(*sorter, 0, n, last)) return fault;
  Walk<4> w;
  for (int a = 0; a < values.ndim; ++a) {
    const bool row = last > 0 && a < last;  // one row for all, or one for each leading coordinate
    w.add(values.shape[a], values.strides[a], out.strides[a], row ? sorted.strides[a] : 0,
          row && sorter ? sorter->strides[a] : 0);
  }
  w.merge();
  if (w.count() == 0) return {};
  visit_dtype(sorted.dtype, [&]<class T>() {
    const T* from = data_of<const T>(values);
    const int64_t* order = sorter ? data_of<const int64_t>(*sorter) : nullptr;
    const int64_t order_by = sorter ? sorter->strides[last] : 0;
    auto run = [&]<class Out>(Out* to) {
      walk_parallel(
          w,
          [&](const int64_t* at, int64_t count) {
            for (int64_t i = 0; i < count; ++i) {
              const int64_t moved = at[2] + i * w.inner_stride(2),
                            order_moved = at[3] + i * w.inner_stride(3);
              const SortedRow<T> row{data_of<const T>(sorted) + moved, sorted.strides[last], n,
                                     order ? order + order_moved : nullptr, order_by};
              to[at[1] + i * w.inner_stride(1)] =
                  static_cast<Out>(row.find(from[at[0] + i * w.inner_stride(0)], right));
            }
          },
          kMoveGrain / 16);
    };
    if (out.dtype == DType::Int32) run(data_of<int32_t>(out));
    else run(data_of<int64_t>(out));
  });
  return {};
}

int64_t unique(const View& in, void* out, int64_t* inverse, int64_t* counts) {
  int64_t found = 0;
  visit_dtype(in.dtype, [&]<class T>() { found = unique_typed(in, static_cast<T*>(out), inverse, counts); });
  return found;
}

int64_t unique_consecutive(const View& in, void* out, int64_t* inverse, int64_t* counts) {
  int64_t found = 0;
  visit_dtype(in.dtype, [&]<class T>() {
    copy_flat(in, out);
    found = keep_runs(static_cast<T*>(out), count(in), inverse, counts);
  });
  return found;
}

int64_t unique_slices(const View& in, int dim, bool consecutive, int64_t* first, int64_t* inverse,
                      int64_t* counts) {
  const int64_t n = in.shape[dim], width = n ? count(in) / n : 0;
  int64_t found = 0;
  visit_dtype(in.dtype, [&]<class T>() {
    // The slices as contiguous rows.
    std::vector<int64_t> shape{n}, strides{in.strides[dim]};
    for (int a = 0; a < in.ndim; ++a) {
      if (a == dim) continue;
      shape.push_back(in.shape[a]);
      strides.push_back(in.strides[a]);
    }
    const std::unique_ptr<T[]> rows(new T[static_cast<size_t>(n * width)]);
    copy_flat(View{in.data, in.dtype, in.ndim, shape.data(), strides.data()}, rows.get());
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    auto row = [&](int64_t i) { return rows.get() + i * width; };
    if (!consecutive)
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return std::lexicographical_compare(row(a), row(a) + width, row(b), row(b) + width, less<T>);
      });
    found = mark_runs(
        n, order.data(), inverse, counts,
        [&](int64_t i) {
          const T* a = row(order[static_cast<size_t>(i)]);
          return std::equal(a, a + width, row(order[static_cast<size_t>(i - 1)]));
        },
        [&](int64_t k, int64_t i) { first[k] = order[static_cast<size_t>(i)]; });
  });
  return found;
}

}  // namespace pb
