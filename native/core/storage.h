// Reference-counted bytes with a version counter: owned, or borrowed from somebody else.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/ref.h"

namespace pb {

// Memory taken while this is on belongs to inference tensors: no backward pass may read it, and outside of the
// mode nobody may change it.
// How many threads are in it: as long as none is, nobody asks for a thread's own mode.
inline std::atomic<int> g_threads_in_inference = 0;
bool thread_in_inference();
inline bool inference_mode() {
  return g_threads_in_inference.load(std::memory_order_relaxed) && thread_in_inference();
}
void set_inference_mode(bool on);

class Storage {
 public:
  using ReleaseOwner = void (*)(void* owner);

  static Ref<Storage> allocate(size_t bytes);
  // Bytes that `owner` keeps alive; release_owner(owner) runs when the storage dies.
  static Ref<Storage> borrow(void* data, size_t bytes, void* owner, ReleaseOwner release_owner);
  // The same bytes under a version counter of its own (Tensor.data).
  static Ref<Storage> alias(const Ref<Storage>& of);

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  uint32_t holders() const { return refs_; }
  bool unique() const { return refs_ == 1 && !release_owner_; }
  bool borrowed() const { return release_owner_ != nullptr; }
  // The storage whose bytes these are: aliases lead to the same one.
  const Storage* root() const;

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) dispose();
  }

  uint32_t version = 0;
  uint32_t changed_at = 0;  // place of the last change in the user's program, where places are watched
  bool inference = false;  // taken in inference mode
  // The count of `epoch` when it was made: whether it is older than an open vmap.
  uint32_t born = epoch;
  static inline uint32_t epoch = 0;
  // The node of the last recorded change in place; for error messages. Names of nodes live for ever.
  const std::string* changed_by = nullptr;

 private:
  Storage() = default;
  void dispose();

  uint32_t refs_ = 0;
  void* data_ = nullptr;
  size_t bytes_ = 0;
  void* owner_ = nullptr;
  ReleaseOwner release_owner_ = nullptr;
};

}  // namespace pb
