// What nodes keep for the way back while hooks keep it for them.
#include <algorithm>

#include "core/shape.h"
#include "tape/tape.h"

namespace pb {

PackSaved g_pack_saved = nullptr;
PackValue g_pack_value = nullptr;
BeforeChange g_before_change = nullptr;

namespace {

std::vector<BeforeChange>& told() {
  static auto& all = *new std::vector<BeforeChange>();
  return all;
}

void tell_all(const Array& a) {
  for (size_t k = 0; k < told().size(); ++k) told()[k](a);
}

}  // namespace

void tell_before_changes(BeforeChange who, bool on) {
  std::vector<BeforeChange>& all = told();
  const auto at = std::ranges::find(all, who);
  if (on == (at != all.end())) return;
  if (on) all.push_back(who);
  else all.erase(at);
  g_before_change = all.empty() ? nullptr : tell_all;
}

Array unpacked(const PackedValue& packed, const Meta& meta, const std::string& op) {
  Array a = packed.unpack();
  if (a.meta.get() == &meta) return a;
  if (!std::ranges::equal(a.meta->shape(), meta.shape())) {
    fail(ErrorKind::Shape, "The unpack hook of saved_tensors_hooks returned a tensor of shape ",
         shape_text(a.meta->shape()), " for a value of shape ", shape_text(meta.shape()), " that ", op,
         " saved: it must give back what the pack hook was given.");
  }
  return copy_of(a, meta);
}

const Meta* OperationNode::meta_of_saved(size_t k) const {
  const Save& s = plan_->rule->saves[k];
  return s.output ? plan_->out[s.index].get() : plan_->in[plan_->arguments[s.index]].get();
}

const PackedValue* OperationNode::packed(size_t k) const {
  return packed_ && k < extras->packed.size() ? extras->packed[k].get() : nullptr;
}

void OperationNode::take_over(size_t k, std::unique_ptr<PackedValue> packed) {
  extras->packed.resize(plan_->rule->saves.size());
  extras->packed[k] = std::move(packed);
  packed_ = true;
  saved()[k] = Saved();
}

bool OperationNode::outdated() const {
  for (size_t k = 0; k < saved_count_; ++k)
    if (const Saved& s = saved_begin()[k]; s.array.storage && s.array.storage->version != s.version)
      return true;
  return false;
}

Array OperationNode::saved_value(size_t k) const {
  if (released_) fail(ErrorKind::Grad, kFreedGraph);
  if (const PackedValue* p = packed(k)) return unpacked(*p, *meta_of_saved(k), plan_->op->name);
  const Saved& s = saved_begin()[k];
  check_saved(s, k);
  return s.array;
}

// A hook may run anything, also a backward that frees this very node.
std::vector<Array> OperationNode::unpack_all() const {
  std::vector<Array> values(saved_count_);
  for (size_t k = 0; k < values.size(); ++k) values[k] = saved_value(k);
  return values;
}

}  // namespace pb
