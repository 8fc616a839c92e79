// Layers around values: all samples of a batch along axis 0 (vmap), or a tangent beside the value (forward mode).
// There are as many around a value as transformations are open, so what looks below them may call itself.
#pragma once
#include "tape/tape.h"

namespace pb {

enum class LayerKind : uint8_t { Batch, Dual };

// One open transformation. The later it was opened, the higher its number, and the earlier it is taken off.
struct Level {
  LayerKind kind = LayerKind::Batch;
  int64_t number = 0;
  int64_t size = 0;  // of the batch
  bool open = true;
  uint32_t epoch = 0;  // storages that are not older were made inside

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) delete this;
  }

 private:
  uint32_t refs_ = 0;
};

// Batch: `value` holds all samples along its axis 0. Dual: `value` with its tangent.
class ValueLayer final : public Layer {
 public:
  ValueLayer(Ref<Level> level, Var value, Var tangent = {})
      : level(std::move(level)),
        value(std::move(value)),
        tangent(std::move(tangent)) {}
  ~ValueLayer() override { died(); }
  Ref<Level> level;
  Var value, tangent;
};

inline ValueLayer* layer_of(const Var& v) { return static_cast<ValueLayer*>(v.layer.get()); }

// What a program inside a transformation sees.
Var batched(Ref<Level> level, Var value);
Var dual(Ref<Level> level, Var value, Var tangent);
const Var& innermost(const Var& v);
// A value under layers that are still open.
Var without_closed(const Var& v);
// With the batch axis of a level in its place among the layers.
Var included(const Var& v, const Ref<Level>& batch);
// What lies below the layer of a level, under the same newer layers; nothing where there is no such layer.
Var below_layer(const Var& v, const Level& level);
// The inverse: axis 0, below any newer layers, becomes the batch of a level.
Var inserted(const Var& v, const Ref<Level>& batch);
// Puts the levels of v's layers, and of its tangents', among those that were found, oldest first and each once.
void add_levels(const Var& v, std::vector<Ref<Level>>& found);
// The scopes of all the values that v consists of, a bit each.
uint32_t all_scopes(const Var& v);
// The same layers, as layers of their own, around what `map` makes of the innermost values.
template <class Map> Var mapped(const Var& v, Map&& map) {
  if (!v.layer) return map(v);
  const ValueLayer& l = *layer_of(v);
  Var inner = mapped(l.value, map);
  return l.tangent.array.storage ? dual(l.level, std::move(inner), mapped(l.tangent, map))
                                 : batched(l.level, std::move(inner));
}
// Looks at all innermost values.
template <class Visit> void each_part(const Var& v, Visit&& visit) {
  if (!v.layer) return visit(v);
  each_part(layer_of(v)->value, visit);
  if (layer_of(v)->tangent.array.storage) each_part(layer_of(v)->tangent, visit);
}
// The same values: what changes them in place through the one does not reach the other.
Var with_new_layers(const Var& v);
bool is_batched(const Var& v);
bool has_batch(const Var& v);  // or a tangent of it
// The same for each of `size` samples, along a new axis in front.
Var expand_front(const Var& v, int64_t size);
// A tangent lies in memory as its value does.
Var laid_out_as(const Meta& m, Var tangent);
// Whether two of the same shape have the same strides, axes of size 1 aside.
bool same_steps(const Meta& a, const Meta& b);

// The values alone, off the tape.
Var detached(const Var& v);
// Off the tape, but for what lies on nodes of the scopes of a mask.
Var left(const Var& v, uint32_t outer);
// A value that gradients are asked of inside a scope: the same elements, on a node of its own.
Var open_input(const Var& v, uint32_t scope);

}  // namespace pb
