#include "runtime/allocator.h"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <new>

namespace pb {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kSmall = 1024;               // up to here: steps of 64 bytes, cut from slabs
constexpr size_t kSlab = size_t{64} << 10;
constexpr size_t kHuge = size_t{2} << 20;     // from here on: aligned to huge pages
constexpr size_t kLargest = size_t{1} << 62;  // rounding up to a class cannot overflow up to here
constexpr int kSmallClasses = kSmall / kAlign;
constexpr int kClasses = kSmallClasses + 4 * (62 - 10);

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCache = false;  // so that the sanitizer sees every use after free
#else
constexpr bool kCache = true;
#endif

struct FreeBlock { FreeBlock* next; };

// Above kSmall each power of two is cut into four steps, so at most a fifth of a block is unused.
struct SizeClass {
  int index;
  size_t bytes;
};

SizeClass size_class(size_t bytes) {
  if (bytes <= kSmall) {
    const size_t steps = bytes <= kAlign ? 1 : (bytes + kAlign - 1) / kAlign;
    return {static_cast<int>(steps) - 1, steps * kAlign};
  }
  const int power = std::bit_width(bytes - 1) - 1;  // 2^power < bytes <= 2^(power + 1)
  const size_t step = size_t{1} << (power - 2);
  const size_t steps = (bytes - (size_t{1} << power) + step - 1) / step;  // 1..4
  return {kSmallClasses + 4 * (power - 10) + static_cast<int>(steps) - 1,
          (size_t{1} << power) + steps * step};
}

void* system_allocate(size_t bytes) {
  const size_t align = bytes >= kHuge ? kHuge : kAlign;
  // Sizes that are no multiple of the alignment are fine for posix_memalign, and waste less.
  void* p = nullptr;
  if (posix_memalign(&p, align, bytes) != 0) return nullptr;
  // Advice only: where the kernel has no huge pages the block works as it is.
  if (bytes >= kHuge) static_cast<void>(madvise(p, bytes / kHuge * kHuge, MADV_HUGEPAGE));
  return p;
}

class Cache {
 public:
  void* take(const SizeClass& size) {
    FreeBlock*& head = free_[size.index];
    if (head) {
      FreeBlock* block = head;
      head = block->next;
      if (size.bytes > kSmall) stats.cached_bytes -= size.bytes;
      ++stats.cache_hits;
      return block;
    }
    if (size.bytes <= kSmall) return cut(size.bytes);
    void* p = system_allocate(size.bytes);
    if (!p && stats.cached_bytes) {
      release();
      p = system_allocate(size.bytes);
    }
    return p;
  }

  void give(void* p, const SizeClass& size) noexcept {
    if (size.bytes > kSmall) {
      const bool room =
          size.bytes <= stats.cache_limit && stats.cached_bytes <= stats.cache_limit - size.bytes;
      if (!room) return std::free(p);
      stats.cached_bytes += size.bytes;
    }
    free_[size.index] = new (p) FreeBlock{free_[size.index]};
  }

  void release() noexcept {
    for (int i = kSmallClasses; i < kClasses; ++i) {
      while (FreeBlock* block = free_[i]) {
        free_[i] = block->next;
        std::free(block);
      }
    }
    stats.cached_bytes = 0;
  }

  AllocatorStats stats{.cache_limit = size_t{1} << 30};

 private:
  // The end of a slab that is too short for this block is left; slabs live as long as the process.
  void* cut(size_t bytes) {
    if (left_ < bytes) {
      void* slab = system_allocate(kSlab);
      if (!slab) return nullptr;
      next_ = static_cast<std::byte*>(slab);
      left_ = kSlab;
      stats.slab_bytes += kSlab;
    }
    void* p = next_;
    next_ += bytes;
    left_ -= bytes;
    return p;
  }

  FreeBlock* free_[kClasses] = {};
  std::byte* next_ = nullptr;
  size_t left_ = 0;
};

// Constant-initialised and trivially destroyed: storages may be freed by the last destructors of a process.
constinit Cache cache;

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > kLargest) return nullptr;
  const SizeClass size = size_class(bytes);
  void* p;
  if constexpr (kCache) {
    p = cache.take(size);
  } else {
    const size_t whole = (bytes + kAlign - 1) / kAlign * kAlign;
    p = std::aligned_alloc(kAlign, whole ? whole : kAlign);
  }
  if (!p) return nullptr;
  AllocatorStats& s = cache.stats;
  ++s.allocations;
  s.live_bytes += size.bytes;
  if (s.live_bytes > s.peak_bytes) s.peak_bytes = s.live_bytes;
  return p;
}

void deallocate(void* p, size_t bytes) noexcept {
  if (!p) return;
  const SizeClass size = size_class(bytes);
  cache.stats.live_bytes -= size.bytes;
  if constexpr (kCache) {
    cache.give(p, size);
  } else {
    std::free(p);
  }
}

void trim() noexcept { cache.release(); }

void set_cache_limit(size_t bytes) noexcept {
  cache.stats.cache_limit = bytes;
  if (cache.stats.cached_bytes > bytes) cache.release();
}

AllocatorStats allocator_stats() noexcept { return cache.stats; }

void reset_peak() noexcept { cache.stats.peak_bytes = cache.stats.live_bytes; }

}  // namespace pb
