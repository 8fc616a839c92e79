#include "tape/views.h"

#include <algorithm>
#include <numeric>

#include "tape/transform.h"

namespace pb {

void copy_into(Var& to, const Var& from) {
  static const Op* copy = find_op("copy");
  const Argument pair[2] = {{&to, {}}, {&from, {}}};
  if (Ref<Node> node = apply_in_place({copy, pair, {}, 0})) {
    to.node = std::move(node);
    to.nr = 0;
  }
}

namespace {

// Where a view lies in its base: sizes, strides, the offset from the base's first element, the base's strides.
std::vector<int64_t> geometry(const Array& a, const Array& base) {
  std::vector<int64_t> ints{a.meta->ndim};
  ints.insert(ints.end(), a.meta->shape().begin(), a.meta->shape().end());
  ints.push_back(a.meta->ndim);
  ints.insert(ints.end(), a.meta->strides().begin(), a.meta->strides().end());
  ints.push_back(a.offset - base.offset);
  ints.push_back(base.meta->ndim);
  ints.insert(ints.end(), base.meta->strides().begin(), base.meta->strides().end());
  return ints;
}

uint64_t all_symbolic(const Array& a, const Array& base) {
  // The counts of the three lists are static, everything else is a size.
  const int n = a.meta->ndim, lists = 3 + 2 * n;
  const uint64_t counts = uint64_t{1} | uint64_t{1} << (1 + n) | uint64_t{1} << lists;
  return ~counts & ((uint64_t{1} << (lists + 1 + base.meta->ndim)) - 1);
}

}  // namespace

Ref<Node> record_view(const Var& base, const Array& view) {
  static const Op* as_strided = find_op("as_strided_of_base");
  const std::vector<int64_t> ints = geometry(view, base.array);
  const Argument args[1] = {{&base, {}}};
  return record({as_strided, args, ints, all_symbolic(view, base.array)});
}

Ref<Node> record_slices(const Var& base, const Var& view) {
  static const Op* copy_slices = find_op("copy_slices");
  const std::vector<int64_t> ints = geometry(view.array, base.array);
  const Argument args[2] = {{&base, {}}, {&view, {}}};
  return record({copy_slices, args, ints, all_symbolic(view.array, base.array)});
}

namespace {

const ValueLayer* layer_at(const Var& v, const Level* level) {
  const ValueLayer* l = layer_of(v);
  return l && l->level.get() == level ? l : nullptr;
}

// The samples' axis of a batched base, in front of what is seen of one sample.
Array with_samples(const Array& one, const Array& samples) {
  std::vector<int64_t> shape{samples.meta->size(0)}, strides{samples.meta->stride(0)};
  shape.insert(shape.end(), one.meta->shape().begin(), one.meta->shape().end());
  strides.insert(strides.end(), one.meta->strides().begin(), one.meta->strides().end());
  return {samples.storage, Meta::intern(one.meta->dtype, shape, strides), one.offset};
}

// Zeros that lie in memory as a value of this meta does, for each sample that `like` has.
Var zeros_laid_out(const Meta& m, const Var& like) {
  const ValueLayer* l = layer_of(like);
  if (l && l->level->kind == LayerKind::Dual) return zeros_laid_out(m, l->value);
  int64_t low = 0, high = 0;
  m.extent(low, high);
  if (!l) {
    const int64_t elements[1] = {high - low};
    const Array block = Array::allocate(Meta::contiguous(m.dtype, elements));
    fill_elements(block, Scalar::of_int(0));
    return {{block.storage, Meta::intern(m.dtype, m.shape(), m.strides()), block.offset - low}, nullptr, 0};
  }
  std::vector<int64_t> shape{l->level->size}, strides{high - low};
  shape.insert(shape.end(), m.shape().begin(), m.shape().end());
  strides.insert(strides.end(), m.strides().begin(), m.strides().end());
  return batched(l->level, zeros_laid_out(*Meta::intern(m.dtype, shape, strides), l->value));
}

Var permuted(const Var& v, std::span<const int64_t> order) {
  static const Op* permute = find_op("permute");
  std::vector<int64_t> ints{static_cast<int64_t>(order.size())};
  ints.insert(ints.end(), order.begin(), order.end());
  const Argument args[1] = {{&v, {}}};
  return apply_one({permute, args, ints, 0});
}

// The part of a tangent that belongs to a view of its value.
Var tangent_of_view(const Var& base, const Var& tangent, const Array& view) {
  if (!same_steps(*base.array.meta, *tangent.array.meta)) {
    fail(ErrorKind::Runtime,
         "a view of a tensor with a tangent was changed in place, but elements of the tensor share memory\n",
         "Give make_dual() a clone() of it.");
  }
  const Array part{tangent.array.storage, view.meta, tangent.array.offset + view.offset - base.array.offset};
  return viewed(tangent, part);
}

// The base's tangent after a change of the view's.
Var rebased_tangent(const Var& base, const Var* tangent, const Array& view, const Var& changed) {
  if (tangent && innermost(*tangent).array.storage.get() == innermost(changed).array.storage.get())
    return rebased(*tangent, changed);
  const Var whole = tangent ? *tangent : zeros_laid_out(*base.array.meta, changed);
  Var part = tangent_of_view(base, whole, view);
  copy_into(part, changed);
  return rebased(whole, part);
}

}  // namespace

Var laid_out_as(const Meta& m, Var tangent) {
  static const Op* contiguous = find_op("contiguous");
  if (m.numel == 0 || same_steps(m, *tangent.array.meta)) return tangent;
  bool overlaps = false;
  for (int k = 0; k < m.ndim; ++k) overlaps |= m.size(k) > 1 && m.stride(k) == 0;
  if (!m.is_dense && !overlaps) {
    Var placed = zeros_laid_out(m, tangent);
    copy_into(placed, tangent);
    return placed;
  }
  std::vector<int64_t> order(m.ndim), back(m.ndim);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return m.stride(a) > m.stride(b); });
  for (int k = 0; k < m.ndim; ++k) back[order[k]] = k;
  const Var ordered = permuted(tangent, order);
  const Argument args[1] = {{&ordered, {}}};
  return permuted(apply_one({contiguous, args, {}, 0}), back);
}

Var viewed(const Var& base, const Array& view) {
  const ValueLayer* l = layer_of(base);
  if (!l) {
    Var v{{base.array.storage, view.meta, view.offset}, nullptr, 0};
    const GradMode on(true);
    if (base.node) v.node = record_view(base, v.array);
    return v;
  }
  if (l->level->kind == LayerKind::Batch)
    return batched(l->level, viewed(l->value, with_samples(view, l->value.array)));
  return dual(l->level, viewed(l->value, view), tangent_of_view(l->value, l->tangent, view));
}

Var rebased(const Var& given, const Var& view) {
  const Var base = without_closed(given);
  Level* level = nullptr;
  for (const Var* v : {&base, &view})
    if (const ValueLayer* l = layer_of(*v); l && (!level || l->level->number > level->number))
      level = l->level.get();
  if (!level) {
    Var b = base;
    if (view.node && grad_enabled()) {
      b.node = record_slices(base, view);
      b.nr = 0;
    }
    return b;
  }
  const ValueLayer *b = layer_at(base, level), *v = layer_at(view, level);
  const Var &base_value = b ? b->value : base, &view_value = v ? v->value : view;
  const Ref<Level> kept(level);
  if (level->kind == LayerKind::Batch) return batched(kept, rebased(base_value, view_value));
  if (!v) return dual(kept, rebased(base_value, view_value), b->tangent);
  Var tangent = rebased_tangent(base_value, b ? &b->tangent : nullptr, view_value.array, v->tangent);
  return dual(kept, rebased(base_value, view_value), std::move(tangent));
}

}  // namespace pb
