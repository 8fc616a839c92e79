// Transformations of programs while they run: batching (vmap) and forward mode, as layers around values.
// The tape lies below all of them: what is recorded are operations on the innermost values.
#pragma once
#include "tape/tape.h"

namespace pb {

enum class LayerKind : uint8_t { Batch, Dual };

// One open transformation. The later it was opened, the higher its number, and the earlier it is taken off.
struct Level {
  LayerKind kind = LayerKind::Batch;
  int64_t number = 0;
  int64_t size = 0;   // of the batch
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

// What a program inside the transformation sees.
Var batched(Ref<Level> level, Var value);
Var dual(Ref<Level> level, Var value, Var tangent);
const Var& innermost(const Var& v);
// A value under layers that are still open.
Var without_closed(const Var& v);
bool is_batched(const Var& v);
// The same for each of `size` samples, along a new axis in front.
Var expand_front(const Var& v, int64_t size);
// Whether two of the same shape have the same strides, axes of size 1 aside.
bool same_steps(const Meta& a, const Meta& b);

inline bool has_layers(const Application& a) {
  if (!Layer::alive) return false;
  for (const Argument& x : a.args)
    if (x.var && x.var->layer) return true;
  return false;
}
inline bool has_layers(std::span<const Var> vars) {
  if (!Layer::alive) return false;
  for (const Var& v : vars)
    if (v.layer) return true;
  return false;
}

// needed(), looking below the layers.
bool needed_inside(const Application& a);
void apply_transformed(const Application& a, std::vector<Var>& out);
// In place: args[0]'s values, and its tangent, become the result's.
void change_transformed(const Application& a);

// What is derived from an op for the arguments in a mask: the op for a batch, the op with the tangents of its
// results beside them, or the tangents alone; or its gradients, of the arguments in `need`, from the cotangents in
// the mask and all arguments.
enum class Derived : uint8_t { Batch, Dual, Tangents, Gradients };
using DeriveOp = const Op* (*)(const Op& op, Derived kind, uint64_t mask, uint64_t need);
extern DeriveOp g_derive_op;
const Op& derived(const Op& op, Derived kind, uint64_t mask, uint64_t need = 0);
// The derived op cannot be traced because a primitive in it has no rule for batches.
struct NoBatchRule {};
// Told the name of each op that had to be run sample by sample.
extern void (*g_report_loop)(const Op& op);
// A program cannot go on for all samples at once. `in_turn`: samples are to see what earlier ones changed.
extern void (*g_refuse_batch)(const char* why, bool in_turn);

Var detached(const Var& v);
// A value that gradients are asked of inside a scope: the same elements, on a node of its own.
Var open_input(const Var& v, uint32_t scope);

}  // namespace pb
