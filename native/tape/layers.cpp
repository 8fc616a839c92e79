#include "tape/layers.h"

#include <algorithm>
#include <numeric>


namespace pb {
namespace {

// Shares the elements of the first sample, so that a look at it never leaves the memory.
Array seen_through(const Array& value) {
  const Meta& m = *value.meta;
  return {value.storage, Meta::intern(m.dtype, m.shape().subspan(1), m.strides().subspan(1)), value.offset};
}

}  // namespace

Var batched(Ref<Level> level, Var value) {
  Var v;
  v.array = seen_through(value.array);
  v.layer = Ref<Layer>(new ValueLayer(std::move(level), std::move(value)));
  return v;
}

bool same_steps(const Meta& a, const Meta& b) {
  for (int k = 0; k < a.ndim; ++k)
    if (a.size(k) != 1 && a.stride(k) != b.stride(k)) return false;
  return true;
}

namespace {

Var permuted(const Var& v, std::span<const int64_t> order) {
  static const Op* permute = find_op("permute");
  std::vector<int64_t> ints{static_cast<int64_t>(order.size())};
  ints.insert(ints.end(), order.begin(), order.end());
  const Argument args[1] = {{&v, {}}};
  return apply_one({permute, args, ints, 0});
}

// The first two axes change places.
Var swapped_in_front(const Var& v) {
  std::vector<int64_t> order(v.array.meta->ndim);
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[0], order[1]);
  return permuted(v, order);
}

}  // namespace

// With the axes in the same order: so what can be viewed in the one can be viewed in the other, and a change in place
// reaches the views of both.
Var laid_out_as(const Meta& m, Var tangent) {
  static const Op* contiguous = find_op("contiguous");
  if (m.numel == 0 || same_steps(m, *tangent.array.meta)) return tangent;
  std::vector<int64_t> order(m.ndim), back(m.ndim);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return m.stride(a) > m.stride(b); });
  for (int k = 0; k < m.ndim; ++k) back[order[k]] = k;
  const Var ordered = permuted(tangent, order);
  const Argument args[1] = {{&ordered, {}}};
  return permuted(apply_one({contiguous, args, {}, 0}), back);
}

Var dual(Ref<Level> level, Var value, Var tangent) {
  tangent = laid_out_as(*value.array.meta, std::move(tangent));
  Var v;
  v.array = value.array;
  v.layer = Ref<Layer>(new ValueLayer(std::move(level), std::move(value), std::move(tangent)));
  return v;
}

const Var& innermost(const Var& v) {
  const Var* p = &v;
  while (p->layer) p = &layer_of(*p)->value;
  return *p;
}

bool is_batched(const Var& v) {
  for (const Var* p = &v; p->layer; p = &layer_of(*p)->value)
    if (layer_of(*p)->level->kind == LayerKind::Batch) return true;
  return false;
}

bool has_batch(const Var& v) {
  if (!v.layer) return false;
  const ValueLayer& l = *layer_of(v);
  return l.level->kind == LayerKind::Batch || has_batch(l.value) || has_batch(l.tangent);
}

Var without_closed(const Var& v) {
  if (!v.layer) return v;
  ValueLayer& l = *layer_of(v);
  if (l.level->open) return v;  // levels below it are older, and close later
  if (l.level->kind == LayerKind::Dual) return without_closed(l.value);
  fail(ErrorKind::Runtime, "vmap: a tensor made inside vmap is used outside of it\n",
       "Return it from the function instead of keeping it in a variable from outside.");
}

Var expand_front(const Var& v, int64_t size) {
  static const Op* expand = find_op("expand");
  const Meta& m = *v.array.meta;
  std::vector<int64_t> ints{m.ndim + 1, size};
  ints.insert(ints.end(), m.shape().begin(), m.shape().end());
  ints.push_back(0);
  const Argument args[1] = {{&v, {}}};
  return apply_one({expand, args, ints, ((uint64_t{1} << (m.ndim + 1)) - 1) << 1});
}

Var included(const Var& v, const Ref<Level>& batch) {
  const Var open = without_closed(v);
  if (!open.layer || layer_of(open)->level->number < batch->number)
    return batched(batch, expand_front(open, batch->size));
  const ValueLayer& l = *layer_of(open);
  if (l.level.get() == batch.get()) return open;
  Var inner = included(l.value, batch);
  return l.tangent.array.storage ? dual(l.level, std::move(inner), l.tangent)
                                 : batched(l.level, std::move(inner));
}

Var below_layer(const Var& v, const Level& level) {
  const Var open = without_closed(v);
  if (!open.layer || layer_of(open)->level->number < level.number) return {};
  const ValueLayer& l = *layer_of(open);
  if (l.level.get() == &level) return l.value;
  Var inner = below_layer(l.value, level);
  if (!inner.array.storage) return {};
  if (l.level->kind == LayerKind::Batch) {
    // The batch of `level` now lies in front, where that of the newer layer belongs.
    return batched(l.level, level.kind == LayerKind::Batch ? swapped_in_front(inner) : std::move(inner));
  }
  Var tangent = below_layer(l.tangent, level);
  if (!tangent.array.storage) {
    tangent = level.kind == LayerKind::Batch ? expand_front(l.tangent, level.size) : l.tangent;
  }
  return dual(l.level, std::move(inner), std::move(tangent));
}

Var inserted(const Var& v, const Ref<Level>& batch) {
  const Var open = without_closed(v);
  if (!open.layer || layer_of(open)->level->number < batch->number) return batched(batch, open);
  const ValueLayer& l = *layer_of(open);
  if (l.level->kind == LayerKind::Batch) return batched(l.level, inserted(swapped_in_front(l.value), batch));
  return dual(l.level, inserted(l.value, batch), inserted(l.tangent, batch));
}

void add_levels(const Var& v, std::vector<Ref<Level>>& found) {
  const Var open = without_closed(v);
  if (!open.layer) return;
  const ValueLayer& l = *layer_of(open);
  const auto place =
      std::ranges::lower_bound(found, l.level->number, {}, [](const Ref<Level>& x) { return x->number; });
  if (place == found.end() || place->get() != l.level.get()) found.insert(place, l.level);
  add_levels(l.value, found);
  if (l.tangent.array.storage) add_levels(l.tangent, found);
}

uint32_t all_scopes(const Var& v) {
  uint32_t scopes = 0;
  each_part(without_closed(v), [&](const Var& part) { scopes |= part.node ? part.node->scopes : 0; });
  return scopes;
}

Var with_new_layers(const Var& v) {
  return mapped(without_closed(v), [](const Var& value) { return value; });
}

Var detached(const Var& v) {
  if (!v.layer) return {v.array, nullptr, 0, {}};
  const ValueLayer& l = *layer_of(v);
  Var inner = detached(l.value);  // the tangent stays behind, as in torch
  return l.level->kind == LayerKind::Batch ? batched(l.level, std::move(inner)) : inner;
}

Var left(const Var& v, uint32_t outer) {
  return mapped(without_closed(v), [&](const Var& value) {
    return value.node && value.node->scopes & outer ? value : detached(value);
  });
}

Var open_input(const Var& v, uint32_t scope) {
  if (v.layer) {
    ValueLayer& l = *layer_of(v);
    Var inner = open_input(l.value, scope);
    return l.level->kind == LayerKind::Batch ? batched(l.level, std::move(inner))
                                             : dual(l.level, std::move(inner), l.tangent);
  }
  static const Op* alias = find_op("alias");
  const Argument args[1] = {{&v, {}}};
  const Application a{alias, args, {}, 0};
  const GradMode on(true);
  Ref<OperationNode> node = OperationNode::make(Ref<Plan>(&find_plan(a, 1)), a);
  node->scopes |= scope;
  return {v.array, Ref<Node>(node.get()), 0, {}};
}

}  // namespace pb
