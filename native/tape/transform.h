// Transformations of programs while they run: operations on values with layers (batches, tangents).
// The tape lies below all of them: what is recorded are operations on the innermost values.
#pragma once
#include "tape/layers.h"

namespace pb {

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

}  // namespace pb
