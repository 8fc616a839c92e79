// Memory for storages: 64-byte aligned, cached by size class, so that a training loop neither calls malloc
// nor takes page faults once it has seen its shapes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pb {

// All functions are called with the GIL held and take no lock.

// Null where the system has no such memory, also for sizes that no machine has. Zero bytes are a valid size.
void* allocate(size_t bytes);
// `bytes` as given to allocate. Null is allowed.
void deallocate(void* p, size_t bytes) noexcept;

// Returns cached blocks to the system; small blocks stay in their slabs.
void trim() noexcept;
// The most that large blocks may keep cached; 1 GiB at first.
void set_cache_limit(size_t bytes) noexcept;

struct AllocatorStats {
  uint64_t allocations = 0;   // calls of allocate that succeeded
  uint64_t cache_hits = 0;    // of these, served from a free list
  size_t live_bytes = 0;      // handed out and not yet returned, in whole size classes
  size_t peak_bytes = 0;      // the most live_bytes has been
  size_t cached_bytes = 0;    // free blocks held above the small sizes
  size_t slab_bytes = 0;      // memory set aside for small blocks, free or not
  size_t cache_limit = 0;
};
AllocatorStats allocator_stats() noexcept;
void reset_peak() noexcept;

}  // namespace pb
