#include "tape/views.h"

#include <algorithm>

namespace pb {

void refuse_if_lost(const Node& n) {
  if (const LostNode* lost = LostNode::from(&n)) fail(ErrorKind::Inplace, lost->why);
}

namespace {

std::vector<int64_t> list(std::span<const int64_t> s) { return {s.begin(), s.end()}; }

void append(std::vector<int64_t>& to, const std::vector<int64_t>& items) {
  to.push_back(static_cast<int64_t>(items.size()));
  to.insert(to.end(), items.begin(), items.end());
}

// How far apart the samples of a batch lie if each is laid out like this.
int64_t extent(const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
  int64_t last = 0;
  for (size_t k = 0; k < size.size(); ++k) last += std::max<int64_t>(size[k] - 1, 0) * stride[k];
  return last + 1;
}

// A region of the elements of an array, by sizes and strides: what the ops between a base and its views read.
struct Region {
  Region(const Array& view, const Array& base);
  void close_gaps();
  // The same in each sample of a batch whose samples lie one after another.
  Region of_batch(int64_t samples) const;
  Region whole() const;  // all of the base
  std::vector<int64_t> ints() const;
  uint64_t symbolic() const;  // the counts of the lists are static, everything else is a size

  std::vector<int64_t> size, stride, base_size, base_stride;
  int64_t offset;
};

Region::Region(const Array& view, const Array& base)
    : size(list(view.meta->shape())),
      stride(list(view.meta->strides())),
      base_size(list(base.meta->shape())),
      base_stride(list(base.meta->strides())),
      offset(view.offset - base.offset) {
  close_gaps();
}

// Axes of a base from the longest step to the shortest, neighbours that are one run as one.
struct Axis {
  int64_t stride, size, dense;  // the last: its step where the elements lie side by side
};

// None where there are no gaps, or elements share memory: the op refuses.
std::vector<Axis> axes_with_gaps(const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
  std::vector<Axis> axes;
  for (size_t k = 0; k < size.size(); ++k)
    if (size[k] > 1) axes.push_back({stride[k], size[k], 0});
  std::ranges::sort(axes, {}, &Axis::stride);
  std::vector<Axis> merged;
  int64_t reach = 0, step = 1;
  for (const Axis& x : axes) {
    if (x.stride <= reach) return {};
    if (!merged.empty() && x.stride == merged.back().stride * merged.back().size)
      merged.back().size *= x.size;
    else merged.push_back({x.stride, x.size, step});
    reach += x.stride * (x.size - 1);
    step *= x.size;
  }
  if (reach + 1 == step) return {};
  std::ranges::reverse(merged);
  return merged;
}

// Where elements of the base lie apart (every second column of a matrix), the region is told of a base without
// gaps: what is worked out by it are gradients and tangents, which have none.
void Region::close_gaps() {
  const std::vector<Axis> axes = axes_with_gaps(base_size, base_stride);
  if (axes.empty()) return;
  std::vector<int64_t> last(axes.size(), 0);  // index that the view reaches along each axis
  bool on_elements = offset >= 0;
  const auto moved = [&](int64_t steps, int64_t times) {
    int64_t to = 0;
    for (size_t i = 0; i < axes.size(); ++i) {
      last[i] += steps / axes[i].stride * times;
      to += steps / axes[i].stride * axes[i].dense;
      steps %= axes[i].stride;
    }
    on_elements = on_elements && steps == 0;
    return to;
  };
  offset = moved(offset, 1);
  for (size_t k = 0; k < size.size(); ++k) stride[k] = size[k] > 1 ? moved(stride[k], size[k] - 1) : 1;
  for (size_t i = 0; i < axes.size(); ++i) on_elements = on_elements && last[i] < axes[i].size;
  if (!on_elements) {
    fail(ErrorKind::Inplace,
         "a view reaches between the elements of its base, and one of them is changed in place\n",
         "Gradients and tangents have no such places: take the view of a clone of the base.");
  }
  for (size_t k = 0; k < base_stride.size(); ++k)
    base_stride[k] = base_size[k] > 1 ? moved(base_stride[k], 0) : base_stride[k];
}

Region Region::of_batch(int64_t samples) const {
  Region w = *this;
  const int64_t apart = extent(base_size, base_stride);
  for (auto* sizes : {&w.size, &w.base_size}) sizes->insert(sizes->begin(), samples);
  for (auto* strides : {&w.stride, &w.base_stride}) strides->insert(strides->begin(), apart);
  return w;
}

Region Region::whole() const {
  Region w = *this;
  w.size = base_size;
  w.stride = base_stride;
  w.offset = 0;
  return w;
}

std::vector<int64_t> Region::ints() const {
  std::vector<int64_t> all;
  append(all, size);
  append(all, stride);
  all.push_back(offset);
  append(all, base_stride);
  return all;
}

uint64_t Region::symbolic() const {
  const size_t n = size.size(), lists = 3 + 2 * n;
  const uint64_t counts = uint64_t{1} | uint64_t{1} << (1 + n) | uint64_t{1} << lists;
  return ~counts & ((uint64_t{1} << (lists + 1 + base_stride.size())) - 1);
}

}  // namespace

Ref<Node> record_view(const Var& base, const Array& view) {
  static const Op* as_strided = find_op("as_strided_of_base");
  const Region r(view, base.array);
  const std::vector<int64_t> ints = r.ints();
  const Argument args[1] = {{&base, {}}};
  return record({as_strided, args, ints, r.symbolic()});
}

void check_places(const Array& view, const Array& base) {
  if (!base.meta->is_contiguous) (void)Region(view, base);
}

Ref<Node> record_slices(const Var& base, const Var& view) {
  static const Op* copy_slices = find_op("copy_slices");
  const Region r(view.array, base.array);
  const std::vector<int64_t> ints = r.ints();
  const Argument args[2] = {{&base, {}}, {&view, {}}};
  return record({copy_slices, args, ints, r.symbolic()});
}

namespace {

Level* newest(const Var& a, const Var& b) {
  Level* found = nullptr;
  for (const Var* v : {&a, &b}) {
    if (!v->layer) continue;
    Level* l = layer_of(*v)->level.get();
    if (!found || l->number > found->number) found = l;
  }
  return found;
}

bool has(const Var& v, const Level* l) { return v.layer && layer_of(v)->level.get() == l; }
const Var& value_under(const Var& v, const Level* l) { return has(v, l) ? layer_of(v)->value : v; }
Var tangent_under(const Var& v, const Level* l) { return has(v, l) ? layer_of(v)->tangent : Var(); }
bool is_there(const Var& v) { return static_cast<bool>(v.array.storage); }

// Memory for all that the strides reach: elements may lie apart, and yet share memory.
Var zeros(DType d, const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
  const int64_t elements[1] = {extent(size, stride)};
  Var z = zeros_like(*Meta::contiguous(d, elements));
  z.array.meta = Meta::intern(d, size, stride);
  return z;
}

Var put(const Var& base, const Var& part, const Region& w) {
  static const Op* copy_slices = find_op("copy_slices");
  const std::vector<int64_t> ints = w.ints();
  const Argument args[2] = {{&base, {}}, {&part, {}}};
  return apply_one({copy_slices, args, ints, w.symbolic()});
}

// Laid out as the base of the region.
Var laid_out(const Var& v, const Region& w) {
  const Meta& m = *v.array.meta;
  if (std::ranges::equal(m.shape(), w.base_size) && std::ranges::equal(m.strides(), w.base_stride)) return v;
  return put(zeros(m.dtype, w.base_size, w.base_stride), v, w.whole());
}

// The samples of v, which are all the same if it has none of its own.
Var samples_of(const Var& v, Level* l) { return has(v, l) ? layer_of(v)->value : expand_front(v, l->size); }

// The region of a tangent, or of a value that was given other memory: worked out, not shared.
Var taken(const Var& base, const Region& w) {
  static const Op* as_strided = find_op("as_strided_of_base");
  const Var b = without_closed(base);
  if (!b.layer) {
    const Var from = laid_out(b, w);
    const std::vector<int64_t> ints = w.ints();
    const Argument args[1] = {{&from, {}}};
    return apply_one({as_strided, args, ints, w.symbolic()});
  }
  const ValueLayer& l = *layer_of(b);
  if (l.level->kind == LayerKind::Batch) return batched(l.level, taken(l.value, w.of_batch(l.level->size)));
  Var value = taken(l.value, w);
  return is_there(l.tangent) ? dual(l.level, std::move(value), taken(l.tangent, w)) : value;
}

// A base's tangent (or none, for zeros) with the region replaced by the tangent of the view.
Var replaced(const Var& base, const Var& part, const Region& w) {
  const Var b = without_closed(base), p = without_closed(part);
  Level* top = newest(b, p);
  if (!top) {
    const DType d = (is_there(p) ? p : b).array.meta->dtype;
    const Var whole = is_there(b) ? laid_out(b, w) : zeros(d, w.base_size, w.base_stride);
    return put(whole, is_there(p) ? p : zeros(d, w.size, list(contiguous_strides(w.size))), w);
  }
  const Ref<Level> level(top);
  if (top->kind == LayerKind::Batch) {
    const Var from = is_there(b) ? samples_of(b, top) : b, to = is_there(p) ? samples_of(p, top) : p;
    return batched(level, replaced(from, to, w.of_batch(top->size)));
  }
  Var value = replaced(value_under(b, top), value_under(p, top), w);
  const Var from = tangent_under(b, top), to = tangent_under(p, top);
  return is_there(from) || is_there(to) ? dual(level, std::move(value), replaced(from, to, w)) : value;
}

}  // namespace

Var rebased(const Var& base, const Var& view, const Node* before) {
  const Var b = without_closed(base), v = without_closed(view);
  Level* top = newest(b, v);
  if (!top) return v.node.get() == before ? b : Var{b.array, record_slices(b, v), 0, {}};
  const Ref<Level> level(top);
  const Var &from = value_under(b, top), &to = value_under(v, top);
  Var value = rebased(from, to, before);
  if (top->kind == LayerKind::Batch) return batched(level, std::move(value));
  const Var old = tangent_under(b, top), now = tangent_under(v, top);
  if (!is_there(old) && !is_there(now)) return value;
  return dual(level, std::move(value), replaced(old, now, Region(to.array, from.array)));
}

Var viewed(const Var& base, const Var& view) {
  const Var b = without_closed(base), v = without_closed(view);
  Level* top = newest(b, v);
  if (!top) return {v.array, record_view(b, v.array), 0, {}};
  const Ref<Level> level(top);
  const Region r(v.array, b.array);
  const Var &from = value_under(b, top), &to = value_under(v, top);
  if (top->kind == LayerKind::Batch) {
    const bool shares = from.array.storage == to.array.storage;
    return batched(level, shares ? viewed(from, to) : taken(from, r.of_batch(top->size)));
  }
  const Var tangent = tangent_under(b, top);
  Var value = viewed(from, to);
  if (is_there(tangent)) return dual(level, std::move(value), taken(tangent, r));
  return has(v, top) ? dual(level, std::move(value), tangent_under(v, top)) : value;
}

Var with_samples(const Var& v, Level* l) {
  const Level* top = v.layer ? layer_of(v)->level.get() : nullptr;
  if (top && top->number > l->number) {
    const ValueLayer& layer = *layer_of(v);
    Var value = with_samples(layer.value, l);
    if (layer.level->kind == LayerKind::Dual) return dual(layer.level, std::move(value), layer.tangent);
    return batched(layer.level, std::move(value));
  }
  const Region w = Region(v.array, v.array).of_batch(l->size);
  Var all = zeros(v.array.meta->dtype, w.base_size, w.base_stride);
  return batched(Ref<Level>(l), put(all, samples_of(v, l), w.whole()));
}

}  // namespace pb
