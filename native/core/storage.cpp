#include "core/storage.h"

#include <new>

#include "core/error.h"
#include "runtime/allocator.h"

namespace pb {
namespace {

constexpr size_t kHeader = 64;  // keeps the data of a small storage, which follows its header, aligned
static_assert(sizeof(Storage) <= kHeader);

void release_alias(void* owner) { static_cast<Storage*>(owner)->release(); }

// A thread that ends inside the mode no longer counts.
struct ThreadMode {
  ~ThreadMode() { set(false); }
  void set(bool to) {
    if (to != on) g_threads_in_inference += to ? 1 : -1;
    on = to;
  }
  bool on = false;
};
thread_local ThreadMode t_inference;

}  // namespace

bool thread_in_inference() { return t_inference.on; }
void set_inference_mode(bool on) { t_inference.set(on); }

Ref<Storage> Storage::allocate(size_t bytes) {
  void* block = bytes < (size_t{1} << 62) ? pb::allocate(kHeader + bytes) : nullptr;
  if (!block) {
    fail(ErrorKind::Memory,
         "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you ",
         "tried to allocate ", bytes,
         " bytes. Error code 12 (Cannot allocate memory)\nThe machine refused this size. Use a smaller "
         "tensor, a smaller batch, or free ",
         "tensors that are no longer needed.");
  }
  Storage* s = new (block) Storage();
  s->data_ = static_cast<char*>(block) + kHeader;
  s->bytes_ = bytes;
  s->inference = inference_mode();
  return Ref<Storage>(s);
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, void* owner, ReleaseOwner release_owner) {
  void* block = pb::allocate(kHeader);
  if (!block) fail(ErrorKind::Memory, "can't allocate memory");
  Storage* s = new (block) Storage();
  s->data_ = data;
  s->bytes_ = bytes;
  s->owner_ = owner;
  s->release_owner_ = release_owner;
  s->inference = inference_mode();
  return Ref<Storage>(s);
}

Ref<Storage> Storage::alias(const Ref<Storage>& of) {
  // Always of the root: a chain of aliases would grow with each `x.data = x.data...`, and be freed recursively.
  Storage* root = of.get();
  while (root->release_owner_ == release_alias) root = static_cast<Storage*>(root->owner_);
  root->retain();
  Ref<Storage> s = borrow(root->data_, root->bytes_, root, release_alias);
  s->inference = root->inference;
  return s;
}

const Storage* Storage::root() const {
  const Storage* s = this;
  while (s->release_owner_ == release_alias) s = static_cast<const Storage*>(s->owner_);
  return s;
}

void Storage::dispose() {
  const size_t size = release_owner_ ? kHeader : kHeader + bytes_;
  if (release_owner_) release_owner_(owner_);
  this->~Storage();
  pb::deallocate(this, size);
}

}  // namespace pb
