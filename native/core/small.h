// A short array whose length is known when it is made: on the stack up to N elements, on the heap beyond.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace pb {

template <class T, size_t N> class Small {
 public:
  explicit Small(size_t n) : size_(n) {
    if (n > N) heap_ = std::make_unique<Slot[]>(n);
    data_ = reinterpret_cast<T*>(n > N ? heap_.get() : inline_);
    // Only the elements that are asked for are made; plain ones not even that.
    if constexpr (!std::is_trivially_copyable_v<T>) std::uninitialized_value_construct_n(data_, n);
  }
  ~Small() {
    if constexpr (!std::is_trivially_destructible_v<T>) std::destroy_n(data_, size_);
  }
  Small(const Small&) = delete;
  Small& operator=(const Small&) = delete;

  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* data() { return data_; }
  size_t size() const { return size_; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  struct alignas(T) Slot { std::byte bytes[sizeof(T)]; };
  Slot inline_[N];
  std::unique_ptr<Slot[]> heap_;
  T* data_;
  size_t size_;
};

}  // namespace pb
