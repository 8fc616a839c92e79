// What nodes keep for the way back while hooks keep it for them.
#include <algorithm>

#include "core/shape.h"
#include "tape/tape.h"

namespace pb {

PackSaved g_pack_saved = nullptr;
PackValue g_pack_value = nullptr;
BeforeChange g_before_change = nullptr;

Array unpacked(const PackedValue& packed, const Meta& meta, const std::string& op) {
  Array a = packed.unpack();
  if (a.meta.get() == &meta) return a;
  if (!std::ranges::equal(a.meta->shape(), meta.shape())) {
    fail(ErrorKind::Shape, "The unpack hook of saved_tensors_hooks returned a tensor of shape ",
         shape_text(a.meta->shape()), " for a value of shape ", shape_text(meta.shape()), " that ", op,
         " saved: it must give back what the pack hook was given.");
  }
  int64_t low = 0, high = 0;
  meta.extent(low, high);
  Array copy;
  copy.storage = Storage::allocate(static_cast<size_t>(high - low) * size_of(meta.dtype));
  copy.meta = Ref<Meta>(const_cast<Meta*>(&meta));
  copy.offset = -low;
  copy_elements(copy, a);
  return copy;
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
