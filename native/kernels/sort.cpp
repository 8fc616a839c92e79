// Orders along an axis. Long lines of any type are sorted by the bytes of an order-preserving key, short ones
// by comparison; both are stable.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/lines.h"
#include "kernels/scan.h"

namespace pb {
namespace {

template <class T> bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) return x != x;
  return false;
}

template <class T> bool less(T a, T b) { return (!is_nan(a) && is_nan(b)) || a < b; }
template <class T> bool greater(T a, T b) { return (is_nan(a) && !is_nan(b)) || a > b; }

template <class T> using KeyOf = std::conditional_t<
    sizeof(T) == 1, uint8_t,
    std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;

// Unsigned numbers in the order of the values: -0 and 0 share one, all NaN share the largest.
template <class T> KeyOf<T> key_of(T x) {
  using Key = KeyOf<T>;
  constexpr Key kTop = Key{1} << (sizeof(T) * 8 - 1);
  if constexpr (std::is_floating_point_v<T>) {
    if (is_nan(x)) return static_cast<Key>(~Key{0});
    const Key bits = std::bit_cast<Key>(x + T{0});  // -0 becomes 0
    return bits & kTop ? ~bits : bits | kTop;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<Key>(x) ^ kTop;
  } else {
    return static_cast<Key>(x);
  }
}

template <class Key> struct Keyed {
  Key key;
  uint32_t index;
};

// One stable pass for each byte that is not the same everywhere.
template <class Key> void radix_sort(std::vector<Keyed<Key>>& items, std::vector<Keyed<Key>>& spare) {
  constexpr int kBytes = sizeof(Key);
  std::vector<uint32_t> counts(kBytes * 256);
  for (const Keyed<Key>& item : items) {
    for (int b = 0; b < kBytes; ++b) ++counts[b * 256 + ((item.key >> (8 * b)) & 255)];
  }
  for (int b = 0; b < kBytes; ++b) {
    uint32_t* count = &counts[b * 256];
    if (count[(items[0].key >> (8 * b)) & 255] == items.size()) continue;
    uint32_t at = 0;
    for (int digit = 0; digit < 256; ++digit) at += std::exchange(count[digit], at);
    for (const Keyed<Key>& item : items) spare[count[(item.key >> (8 * b)) & 255]++] = item;
    items.swap(spare);
  }
}

constexpr int64_t kShort = 128;  // below this comparisons win

template <class T> void sort_line(const T* in, int64_t step, int64_t n, bool descending,
                                  std::vector<Keyed<KeyOf<T>>>& items, std::vector<Keyed<KeyOf<T>>>& spare) {
  using Key = KeyOf<T>;
  items.resize(n);
  for (int64_t i = 0; i < n; ++i) {
    const Key key = key_of(in[i * step]);
    items[i] = {descending ? static_cast<Key>(~key) : key, static_cast<uint32_t>(i)};
  }
  if (n < kShort) {
    std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return;
  }
  spare.resize(n);
  radix_sort(items, spare);
}

// Lines beyond 2^32 elements: their indices do not fit the compact items.
template <class T>
void sort_huge_line(const T* in, int64_t step, int64_t n, bool descending, int64_t* order) {
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  std::stable_sort(order, order + n, [&](int64_t a, int64_t b) {
    return descending ? greater(in[a * step], in[b * step]) : less(in[a * step], in[b * step]);
  });
}

template <class T> void sort_lines(const View& in, int axis, bool descending, T* values, int64_t* indices) {
  const T* from = static_cast<const T*>(in.data);
  const Lines lines(in, axis);
  const int64_t n = lines.length;
  lines.each(n, n * 16, [&](int64_t in_at, int64_t out_at) {
    const T* x = from + in_at;
    const auto put = [&](int64_t i, int64_t index) {
      indices[out_at + i * lines.inner] = index;
      if (values) values[out_at + i * lines.inner] = x[index * lines.step];
    };
    if (n > int64_t{UINT32_MAX}) {
      auto order = std::make_unique_for_overwrite<int64_t[]>(n);
      sort_huge_line(x, lines.step, n, descending, order.get());
      for (int64_t i = 0; i < n; ++i) put(i, order[i]);
      return;
    }
    thread_local std::vector<Keyed<KeyOf<T>>> items, spare;
    sort_line(x, lines.step, n, descending, items, spare);
    for (int64_t i = 0; i < n; ++i) put(i, items[i].index);
    if (n > 65536) {  // do not keep large buffers for ever
      items = {};
      spare = {};
    }
  });
}

template <class T> using Ranked = std::pair<T, int64_t>;

template <class T, class Before>
void select_top(std::vector<Ranked<T>>& queue, int64_t k, bool sorted, const Before& before) {
  const int64_t n = static_cast<int64_t>(queue.size());
  if (k * 64 <= n) {
    std::partial_sort(queue.begin(), queue.begin() + k, queue.end(), before);
    return;
  }
  std::nth_element(queue.begin(), queue.begin() + k - 1, queue.end(), before);
  if (sorted) std::sort(queue.begin(), queue.begin() + k - 1, before);
}

template <class T>
void topk_lines(const View& in, int axis, int64_t k, bool largest, bool sorted, T* values, int64_t* indices) {
  const T* from = static_cast<const T*>(in.data);
  const Lines lines(in, axis);
  const int64_t n = lines.length;
  lines.each(k, n * 8, [&](int64_t in_at, int64_t out_at) {
    std::vector<Ranked<T>> queue(n);
    for (int64_t i = 0; i < n; ++i) queue[i] = {from[in_at + i * lines.step], i};
    if (largest) {
      select_top(queue, k, sorted,
                 [](const Ranked<T>& a, const Ranked<T>& b) { return greater(a.first, b.first); });
    } else {
      select_top(queue, k, sorted,
                 [](const Ranked<T>& a, const Ranked<T>& b) { return less(a.first, b.first); });
    }
    for (int64_t i = 0; i < k; ++i) {
      values[out_at + i * lines.inner] = queue[i].first;
      indices[out_at + i * lines.inner] = queue[i].second;
    }
  });
}

// Hoare's selection with the median of three as the pivot. Which of equal values ends at place k follows from
// the exchanges, and these are torch's.
template <class T> void select_kth(std::vector<Ranked<T>>& a, int64_t k) {
  const auto above = [&](int64_t i, int64_t j) { return greater(a[i].first, a[j].first); };
  int64_t low = 0, high = static_cast<int64_t>(a.size()) - 1;
  while (low < high) {
    if (high == low + 1) {
      if (above(low, high)) std::swap(a[low], a[high]);
      return;
    }
    std::swap(a[low + (high - low) / 2], a[low + 1]);
    if (above(low + 1, high)) std::swap(a[low + 1], a[high]);
    if (above(low, high)) std::swap(a[low], a[high]);
    if (above(low + 1, low)) std::swap(a[low + 1], a[low]);
    const T pivot = a[low].first;
    int64_t i = low + 1, j = high;
    for (;;) {
      do ++i;
      while (greater(pivot, a[i].first));
      do --j;
      while (greater(a[j].first, pivot));
      if (j < i) break;
      std::swap(a[i], a[j]);
    }
    std::swap(a[low], a[j]);
    if (j <= k) low = i;
    if (j >= k) high = j - 1;
  }
}

}  // namespace

bool sort(const View& in, int axis, bool descending, void* values, int64_t* indices) {
  return visit_dtype(in.dtype,
                     [&]<class T>() { sort_lines(in, axis, descending, static_cast<T*>(values), indices); });
}

bool topk(const View& in, int axis, int64_t k, bool largest, bool sorted, void* values, int64_t* indices) {
  return visit_dtype(in.dtype, [&]<class T>() {
    if (k > 0) topk_lines(in, axis, k, largest, sorted, static_cast<T*>(values), indices);
  });
}

bool kthvalue(const View& in, int axis, int64_t k, void* values, int64_t* indices) {
  return visit_dtype(in.dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(in.data);
    T* to = static_cast<T*>(values);
    const Lines lines(in, axis);
    lines.each(1, lines.length * 8, [&](int64_t in_at, int64_t out_at) {
      std::vector<Ranked<T>> items(lines.length);
      for (int64_t i = 0; i < lines.length; ++i) items[i] = {from[in_at + i * lines.step], i};
      select_kth(items, k - 1);
      to[out_at] = items[k - 1].first;
      indices[out_at] = items[k - 1].second;
    });
  });
}

bool median(const View& in, int axis, bool ignore_nan, void* values, int64_t* indices) {
  return visit_dtype(in.dtype, [&]<class T>() {
    const T* from = static_cast<const T*>(in.data);
    T* to = static_cast<T*>(values);
    const Lines lines(in, axis);
    lines.each(1, lines.length * 8, [&](int64_t in_at, int64_t out_at) {
      const T* x = from + in_at;
      std::vector<int64_t> order(lines.length);
      int64_t nans = 0, at = 0;
      for (int64_t i = 0; i < lines.length; ++i) {
        order[i] = i;
        if (is_nan(x[i * lines.step]) && nans++ == 0) at = i;
      }
      if (nans == 0 || (ignore_nan && nans < lines.length)) {
        const auto middle = order.begin() + (lines.length - nans - 1) / 2;
        std::nth_element(order.begin(), middle, order.end(),
                         [&](int64_t a, int64_t b) { return less(x[a * lines.step], x[b * lines.step]); });
        at = *middle;
      }
      to[out_at] = x[at * lines.step];
      indices[out_at] = at;
    });
  });
}

}  // namespace pb
