#include "core/meta.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <unordered_set>
#include <vector>

#include "core/error.h"
#include "core/shape.h"
#include "runtime/allocator.h"

namespace pb {

int64_t product(std::span<const int64_t> sizes) {
  int64_t p = 1;
  for (int64_t s : sizes) {
    if (__builtin_mul_overflow(p, s, &p)) {
      if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return 0;
      fail(ErrorKind::Runtime,
           "Storage size calculation overflowed with sizes that multiply to more than 2^63. ",
           "Use smaller sizes.");
    }
  }
  return p;
}

Dims contiguous_strides(std::span<const int64_t> shape) {
  Dims d;
  d.n = static_cast<int>(shape.size());
  int64_t step = 1;
  for (int i = d.n - 1; i >= 0; --i) {
    d[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return d;
}

namespace {

struct Probe {
  DType dtype;
  std::span<const int64_t> shape, strides;
  uint64_t hash;
};

uint64_t hash_of(DType dtype, std::span<const int64_t> shape, std::span<const int64_t> strides) {
  uint64_t h = static_cast<uint64_t>(dtype) * 31 + shape.size();
  auto mix = [&h](int64_t x) { h = (h ^ static_cast<uint64_t>(x)) * 0x9E3779B97F4A7C15ull, h ^= h >> 29; };
  for (int64_t s : shape) mix(s);
  for (int64_t s : strides) mix(s);
  return h;
}

bool dense(std::span<const int64_t> shape, std::span<const int64_t> strides) {
  int order[kMaxDims], n = 0;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    if (shape[i] == 0) return true;
    if (shape[i] > 1) order[n++] = i;
  }
  std::sort(order, order + n, [&](int a, int b) { return strides[a] < strides[b]; });
  int64_t expected = 1;
  for (int k = 0; k < n; ++k) {
    if (strides[order[k]] != expected) return false;
    expected *= shape[order[k]];
  }
  return true;
}

}  // namespace

// The table keeps a bounded number of metas that nobody holds, so that a repeated shape is found again.
struct MetaTable {
  static constexpr int64_t kRetiredLimit = 4096;

  struct Hash {
    using is_transparent = void;
    size_t operator()(const Meta* m) const { return m->hash_; }
    size_t operator()(const Probe& p) const { return p.hash; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Meta* a, const Meta* b) const { return a == b; }
    bool operator()(const Probe& p, const Meta* m) const {
      return p.hash == m->hash_ && p.dtype == m->dtype && p.shape.size() == m->ndim &&
             std::equal(p.shape.begin(), p.shape.end(), m->shape_data()) &&
             std::equal(p.strides.begin(), p.strides.end(), m->stride_data());
    }
    bool operator()(const Meta* m, const Probe& p) const { return (*this)(p, m); }
  };
  std::unordered_set<Meta*, Hash, Equal> all;
  int64_t retired = 0;

  static MetaTable& get() {
    static MetaTable& table = *new MetaTable();  // outlives every static that holds a meta
    return table;
  }

  Ref<Meta> find_or_make(const Probe& p) {
    if (auto it = all.find(p); it != all.end()) {
      if ((*it)->refs_ == 0) --retired;
      return Ref<Meta>(*it);
    }
    const int n = static_cast<int>(p.shape.size());
    const int64_t numel = product(p.shape);
    const size_t bytes = sizeof(Meta) + 2 * n * sizeof(int64_t);
    void* block = ::operator new(bytes);
    Meta* m = new (block) Meta();
    m->dtype = p.dtype;
    m->ndim = static_cast<uint8_t>(n);
    m->numel = numel;
    m->hash_ = p.hash;
    std::copy(p.shape.begin(), p.shape.end(), m->dims_);
    std::copy(p.strides.begin(), p.strides.end(), m->dims_ + n);
    const Dims c = contiguous_strides(p.shape);
    m->is_contiguous = true;
    for (int i = 0; i < n && numel > 0; ++i)
      if (p.shape[i] != 1 && p.strides[i] != c[i]) m->is_contiguous = false;
    m->is_dense = m->is_contiguous || dense(p.shape, p.strides);
    all.insert(m);
    return Ref<Meta>(m);
  }

  void sweep() {
    for (auto it = all.begin(); it != all.end();) {
      Meta* m = *it;
      if (m->refs_ == 0) {
        it = all.erase(it);
        ::operator delete(m);
      } else {
        ++it;
      }
    }
    retired = 0;
  }
};

Ref<Meta> Meta::intern(DType dtype, std::span<const int64_t> shape, std::span<const int64_t> strides) {
  if (shape.size() > kMaxDims) {
    fail(ErrorKind::Shape, "a tensor with ", shape.size(),
         " dimensions was asked for; pullback supports up to ", kMaxDims, ". Merge some axes with reshape.");
  }
  return MetaTable::get().find_or_make({dtype, shape, strides, hash_of(dtype, shape, strides)});
}

Ref<Meta> Meta::contiguous(DType dtype, std::span<const int64_t> shape) {
  if (shape.size() > kMaxDims) return intern(dtype, shape, shape);
  return intern(dtype, shape, contiguous_strides(shape));
}

Ref<Meta> Meta::with_dtype(DType d) const {
  if (d == dtype) return Ref<Meta>(const_cast<Meta*>(this));
  return intern(d, shape(), strides());
}

void Meta::extent(int64_t& low, int64_t& high) const {
  low = 0;
  high = numel ? 1 : 0;
  for (int i = 0; i < ndim && numel; ++i) {
    const int64_t reach = (size(i) - 1) * stride(i);
    (reach < 0 ? low : high) += reach;
  }
}

void Meta::too_large() const {
  fail(ErrorKind::Runtime, "Storage size calculation overflowed with sizes=", shape_text(shape()),
       "\nA tensor can hold up to 2^63 bytes. Use smaller sizes.");
}

void Meta::retire() {
  MetaTable& t = MetaTable::get();
  if (++t.retired > MetaTable::kRetiredLimit) t.sweep();
}

Meta::Statistics Meta::statistics() {
  const MetaTable& t = MetaTable::get();
  return {static_cast<int64_t>(t.all.size()) - t.retired, t.retired};
}

}  // namespace pb
