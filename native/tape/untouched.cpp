#include "tape/untouched.h"

#include <algorithm>
#include <unordered_map>

namespace pb {
namespace {

// By the memory that values lie in.
std::unordered_multimap<const Storage*, Untouched*>& holders() {
  static auto& all = *new std::unordered_multimap<const Storage*, Untouched*>();
  return all;
}

const Storage* memory_of(const Var& part) {
  return part.array.storage ? part.array.storage->root() : nullptr;
}

}  // namespace

Untouched::Untouched(std::vector<Var>& values) : values_(values) {
  const auto note = [&](const Var& part) {
    const Storage* memory = memory_of(part);
    if (memory && std::ranges::find(under_, memory) == under_.end()) under_.push_back(memory);
  };
  for (const Var& v : values_) each_part(v, note);
  for (const Storage* memory : under_) holders().emplace(memory, this);
  tell_before_changes(before_change, !holders().empty());
}

Untouched::~Untouched() {
  for (const Storage* memory : under_) {
    auto at = holders().equal_range(memory).first;
    while (at->second != this) ++at;
    holders().erase(at);
  }
  tell_before_changes(before_change, !holders().empty());
}

void Untouched::before_change(const Array& a) {
  const Storage* memory = a.storage->root();
  const auto [from, to] = holders().equal_range(memory);
  for (auto at = from; at != to; ++at) at->second->take_out_of(*memory);
}

void Untouched::take_out_of(const Storage& memory) {
  const auto apart = [&](const Var& part) -> Var {
    if (memory_of(part) != &memory) return part;
    Var copy{copy_of(part.array, *part.array.meta), part.node, part.nr, {}};
    copy.array.storage->inference = part.array.storage->inference;  // whatever the mode of the change is
    return copy;
  };
  for (Var& v : values_) v = mapped(v, apart);
}

}  // namespace pb
