#include "tape/pushed.h"

#include <algorithm>
#include <unordered_set>

#include "core/shape.h"
#include "core/small.h"
#include "tape/watch.h"

namespace pb {
namespace {

constexpr char kFunction[] = "an autograd.Function with a jvp() of its own changed its argument";
constexpr char kPassed[] = "it is a gradient that was worked out without tangents";

void collect_batches(const Var& v, const Level* below, std::vector<Ref<Level>>& found) {
  if (!v.layer) return;
  const ValueLayer& l = *layer_of(v);
  const auto known = [&](const Ref<Level>& x) { return x.get() == l.level.get(); };
  if (l.level->kind == LayerKind::Batch && l.level->number < below->number &&
      std::ranges::none_of(found, known))
    found.push_back(l.level);
  collect_batches(l.value, below, found);
  collect_batches(l.tangent, below, found);
}

// Those around the arguments that are older than the level, oldest first.
void find_batches(Pushed& p, Arguments arguments) {
  for (const Var* v : arguments) collect_batches(*v, p.level.get(), p.batches);
  std::ranges::sort(p.batches, {}, [](const Ref<Level>& l) { return l->number; });
}

uint64_t needed_below(const Application& a) {
  uint64_t mask = 0;
  for (size_t i = 0; i < a.args.size(); ++i)
    if (a.args[i].var && innermost(*a.args[i].var).node) mask |= shared_bit(i);
  return mask;
}

bool is_newer(const Node& n, uint64_t first) { return !n.is_leaf() && n.sequence >= first; }

// The results' node; null if nothing was recorded, or if they do not share one.
Node* node_of_results(Pushed& p, std::span<const Var> results, uint64_t first, bool& recorded) {
  Node* node = nullptr;
  bool several = false;
  for (const Var& r : results) {
    const Var& v = innermost(r);
    const bool made = v.node && is_newer(*v.node, first);
    p.outputs.push_back(made ? static_cast<int32_t>(v.nr) : -1);
    if (!made) continue;
    if (node && node != v.node.get()) several = true;
    node = v.node.get();
  }
  while (!p.outputs.empty() && p.outputs.back() < 0) p.outputs.pop_back();  // indices
  recorded = node;
  return several ? nullptr : node;
}

// The last edges of the node are those of the values, unless it was made in several pieces.
bool match_edges(Pushed& p, Node& node, Arguments arguments) {
  const std::span<Edge> edges = node.edges();
  if (edges.size() < arguments.size()) return false;
  size_t at = edges.size() - arguments.size();
  for (const Var* argument : arguments) {
    const Var& v = innermost(*argument);
    const Edge& e = edges[at];
    if (is_float(v.array.meta->dtype) && (e.node.get() != v.node.get() || e.nr != v.nr)) return false;
    p.edges.push_back(static_cast<int32_t>(at++));
  }
  return true;
}

// Hands all that a value is made of to the hooks of this thread, if it has any.
Var packed_away(const Var& v, Pushed& p) {
  Var out = v;
  if (v.layer) {
    const ValueLayer& l = *layer_of(v);
    Var value = packed_away(l.value, p);
    out.layer = Ref<Layer>(new ValueLayer(l.level, std::move(value), packed_away(l.tangent, p)));
  } else {
    p.packed.push_back(v.array.storage ? g_pack_value(v) : nullptr);
  }
  if (v.layer || p.packed.back()) out.array.storage = Ref<Storage>();
  return out;
}

// The inverse; `at` counts.
Var brought_back(const Var& v, const Pushed& p, size_t& at) {
  if (v.layer) {
    const ValueLayer& l = *layer_of(v);
    Var value = brought_back(l.value, p, at), tangent = brought_back(l.tangent, p, at);
    if (l.level->kind == LayerKind::Batch) return batched(l.level, std::move(value));
    return dual(l.level, std::move(value), std::move(tangent));
  }
  Var out = v;
  if (const auto& packed = p.packed[at++]) out.array = unpacked(*packed, *v.array.meta, p.op->name);
  return out;
}

std::vector<Var> kept_values(const Pushed& p) {
  if (p.packed.empty()) return p.values;
  std::vector<Var> out;
  size_t at = 0;
  for (const Var& v : p.values) out.push_back(brought_back(v, p, at));
  return out;
}

Var only_meta(const Ref<Meta>& meta) {
  Var v;
  v.array.meta = meta;
  return v;
}

// A result that knew its node would be held by what it holds: `nr` says which output of it a part is.
constexpr uint32_t kNowhere = UINT32_MAX;

Var off_node(const Var& v, const Node* node) {
  return mapped(v, [&](const Var& part) -> Var {
    if (part.node && part.node.get() != node) return part;
    return {part.array, nullptr, part.node ? part.nr : kNowhere, {}};
  });
}

Var on_node(const Var& v, Node& node) {
  return mapped(v, [&](const Var& part) -> Var {
    if (part.node) return part;
    if (part.nr == kNowhere) return {part.array, nullptr, 0, {}};
    return {part.array, Ref<Node>(&node), part.nr, {}};
  });
}

// What a node of the op alone would keep, if all of it is in the program's hands.
bool keep_saved(Pushed& p, Plan& plan, const Application& a, std::span<const Var> results, const Node* node) {
  const auto hidden = [&](const Save& s) {
    return s.output && static_cast<size_t>(s.index) >= results.size();
  };
  if (std::ranges::any_of(plan.rule->saves, hidden)) return false;
  const size_t inputs = plan.arguments.size();
  for (const int32_t i : plan.arguments) p.values.push_back(only_meta(plan.in[i]));
  for (const Ref<Meta>& m : plan.out) p.values.push_back(only_meta(m));
  for (const Save& s : plan.rule->saves) {
    if (s.output) p.values[inputs + s.index] = off_node(results[s.index], node);
    else p.values[s.index] = *a.args[plan.arguments[s.index]].var;
  }
  return true;
}

// All that run_pushed() reads.
void keep(Pushed& p, const Application& a, std::span<const Var> results, const Node* node) {
  p.plan = Ref<Plan>(&find_plan(a, p.need));
  p.keeps = !p.plan->rule->saves.empty();
  p.from_arguments = !keep_saved(p, *p.plan, a, results, node);
  if (p.from_arguments)
    for (const Argument& x : a.args) p.values.push_back(x.var ? *x.var : Var());
  for (const Argument& x : a.args) {
    p.scalars.push_back(x.scalar);
    p.tensors.push_back(x.var != nullptr);
  }
  if (g_pack_value && p.keeps)
    for (Var& v : p.values) v = packed_away(v, p);
  if (p.from_arguments) {
    p.untouched = std::make_unique<Untouched>(p.values);
    return;
  }
  const auto note = [&](const Var& v) {
    p.versions.push_back(v.array.storage ? v.array.storage->version : 0);
  };
  for (const Var& v : p.values) each_part(v, note);
}

// Axes 0 and 1 change places: of two batches, the older one lies in front.
Var swapped(const Var& v) {
  static const Op* permute = find_op("permute");
  std::vector<int64_t> ints{v.array.meta->ndim};
  for (int k = 0; k < v.array.meta->ndim; ++k) ints.push_back(k < 2 ? 1 - k : k);
  const Argument args[1] = {{&v, {}}};
  return apply_one({permute, args, ints, 0});
}

// Axis 0, below the layers of newer levels, becomes the batch of a level; and the inverse.
Var with_batch(const Var& v, const Ref<Level>& batch) {
  if (!v.layer || layer_of(v)->level->number < batch->number) return batched(batch, v);
  const ValueLayer& l = *layer_of(v);
  if (l.level->kind == LayerKind::Batch) return batched(l.level, with_batch(swapped(l.value), batch));
  return dual(l.level, with_batch(l.value, batch), with_batch(l.tangent, batch));
}

Var without_batch(const Var& v, const Ref<Level>& batch) {
  Level* top = v.layer ? layer_of(v)->level.get() : nullptr;
  if (top == batch.get()) return layer_of(v)->value;
  if (!top || top->number < batch->number) return expand_front(v, batch->size);
  const ValueLayer& l = *layer_of(v);
  if (l.level->kind == LayerKind::Batch) return batched(l.level, swapped(without_batch(l.value, batch)));
  return dual(l.level, without_batch(l.value, batch), without_batch(l.tangent, batch));
}

// Of results that no single node of their own could give the gradients of.
void note_jointly(std::unique_ptr<Pushed> p, const std::string& name, Arguments arguments,
                  std::span<Var> results) {
  const Ref<JointNode> joint = JointNode::make(name, arguments, results);
  p->outputs.clear();
  p->edges.clear();
  for (const Var& r : results) {
    const Var& v = innermost(r);
    p->outputs.push_back(v.node.get() == joint.get() ? static_cast<int32_t>(v.nr) : -1);
  }
  const size_t before = joint->edges().size() - arguments.size();
  for (size_t k = 0; k < arguments.size(); ++k) p->edges.push_back(static_cast<int32_t>(before + k));
  joint->pushed = std::move(p);
}

bool changed(const Pushed& p) {
  if (p.untouched) return false;
  bool any = false;
  size_t at = 0;
  const auto compare = [&](const Var& v) {
    const uint32_t kept = p.versions[at++];
    any = any || (v.array.storage && v.array.storage->version != kept);
  };
  for (const Var& v : p.values) each_part(v, compare);
  return any;
}

void check_kept(const Pushed& p) {
  if (p.released) fail(ErrorKind::Grad, kFreedGraph);
  if (p.missing) refuse_tangents(p.missing);
  if (changed(p))
    fail(ErrorKind::Inplace,
         "one of the variables needed for gradient computation has been modified by an inplace operation: "
         "one that ",
         p.op->node_name, " keeps, with its tangent. ", anomaly_hint(),
         "\nChange a clone, or change it after the gradients were worked out.");
}

}  // namespace

void refuse_tangents(std::string_view why) {
  fail(
      ErrorKind::Runtime, "cannot work out a gradient together with its tangent: ", why,
      "\nUnder forward mode (jvp, jacfwd, hessian) hooks, retain_grad() and backward() need both: do without "
      "them, or without that.");
}

const Pushed* applied_at(const Node& n) {
  const Pushed* p = pushed_of(n);
  while (p && !p->applied()) p = p->next();
  return p;
}

const Pushed* pushed_along(const Node& n, std::span<const Ref<Level>> along) {
  const Pushed* p = along.empty() ? nullptr : pushed_of(n);
  while (p && std::ranges::find(along, p->level) == along.end()) p = p->next();
  return p;
}

void note_pushed(const Ref<Level>& level, const Application& a, std::span<Var> results, uint64_t first,
                 const Var* changed) {
  auto p = std::make_unique<Pushed>();
  bool recorded = false;
  Node* node = node_of_results(*p, results, first, recorded);
  if (!recorded) return;
  p->level = level;
  p->op = a.op;
  p->ints.assign(a.ints.begin(), a.ints.end());
  p->symbolic = a.symbolic;
  p->need = needed_below(a);
  keep(*p, a, results, node);
  Small<const Var*, 8> room(a.args.size());
  size_t n = 0;
  for (const Argument& x : a.args)
    if (x.var) room[n++] = x.var;
  const Arguments arguments = room.span().first(n);
  find_batches(*p, arguments);
  if (changed) std::ranges::replace(room.span(), a.args[0].var, changed);
  if (!node || !match_edges(*p, *node, arguments))
    return note_jointly(std::move(p), a.op->node_name, arguments, results);
  p->older = std::move(node->pushed);
  node->pushed = std::move(p);
}

void note_function(const Ref<Level>& level, std::unique_ptr<PushedFunction> function, const std::string& name,
                   Arguments arguments, std::span<Var> results) {
  auto p = std::make_unique<Pushed>();
  p->level = level;
  p->function = std::move(function);
  p->keeps = true;
  find_batches(*p, arguments);
  note_jointly(std::move(p), name, arguments, results);
}

namespace {

// The op's own way back, on values with tangents.
void run_saved(const Pushed& p, std::span<const Argument> given, uint64_t mask, Node& node,
               std::vector<Var>& results) {
  std::vector<Var> values = kept_values(p);
  for (size_t k = p.plan->arguments.size(); k < values.size(); ++k)
    if (values[k].array.storage) values[k] = on_node(values[k], node);
  std::vector<Argument> args(given.begin(), given.end());
  for (const Var& v : values) args.push_back({&v, {}});
  for (size_t i = 0; i < p.tensors.size(); ++i)
    if (!p.tensors[i]) args.push_back({nullptr, p.scalars[i]});
  apply({p.plan->rule->backward_op(mask), args, p.plan->ints, p.plan->symbolic}, results);
}

// From all of its arguments.
void run_derived(const Pushed& p, std::span<const Argument> given, uint64_t mask, std::vector<Var>& results) {
  const std::vector<Var> values = kept_values(p);
  std::vector<Argument> args(given.begin(), given.end());
  for (size_t i = 0; i < values.size(); ++i)
    args.push_back(p.tensors[i] ? Argument{&values[i], {}} : Argument{nullptr, p.scalars[i]});
  apply({&derived(*p.op, Derived::Gradients, mask, p.need), args, p.ints, p.symbolic}, results);
}

// Results from 63 on share a bit of the mask: gradients come from all of them or from none.
std::vector<Var> completed(const Pushed& p, std::span<const Var> cotangents) {
  std::vector<Var> out(cotangents.begin(), cotangents.end());
  const auto defined = [](const Var& g) { return !!g.array.storage; };
  if (std::none_of(out.begin() + 63, out.end(), defined)) return out;
  for (size_t k = 63; k < out.size(); ++k)
    if (const Meta& m = *p.plan->out[k]; !defined(out[k]) && is_float(m.dtype)) out[k] = zeros_like(m);
  return out;
}

void run_operation(const Pushed& p, Node& node, std::span<const Var> cotangents, std::span<Var> gradients) {
  std::vector<Var> held;
  if (cotangents.size() > 63) cotangents = held = completed(p, cotangents);
  uint64_t mask = 0;
  std::vector<Argument> given;
  for (size_t k = 0; k < cotangents.size(); ++k) {
    if (!cotangents[k].array.storage) continue;
    mask |= shared_bit(k);
    given.push_back({&cotangents[k], {}});
  }
  std::vector<Var> results;
  if (p.from_arguments) run_derived(p, given, mask, results);
  else run_saved(p, given, mask, node, results);
  size_t tensor = 0, at = 0;
  for (size_t i = 0; i < p.tensors.size(); ++i) {
    if (!p.tensors[i]) continue;
    Var& g = gradients[tensor++];
    if (needs(p.need, i) && is_float(p.plan->in[i]->dtype) && at < results.size())
      g = std::move(results[at++]);
  }
}

}  // namespace

void run_pushed(const Pushed& p, Node& node, std::span<const Var> cotangents, std::span<Var> gradients,
                bool record) {
  check_kept(p);
  const GradMode mode(record);
  std::vector<Var> seen(cotangents.begin(), cotangents.end());
  for (Var& g : seen)
    for (const Ref<Level>& batch : p.batches)
      if (g.array.storage) g = with_batch(g, batch);
  if (p.function) p.function->run(node, seen, gradients);
  else run_operation(p, node, seen, gradients);
  for (Var& g : gradients)
    for (size_t b = p.batches.size(); b-- > 0;)
      if (g.array.storage) g = without_batch(g, p.batches[b]);
}

void release_pushed(Node& n) {
  for (auto* p = static_cast<Pushed*>(n.pushed.get()); p; p = static_cast<Pushed*>(p->older.get())) {
    p->released = p->keeps;
    if (p->function) p->function->release();
    p->packed.clear();
    p->untouched.reset();
    for (Var& v : p->values) {
      Var meta;
      meta.array.meta = v.array.meta;
      v = std::move(meta);
    }
  }
}

namespace {

template <class Visit> void walk(std::vector<Node*> stack, Visit&& visit) {
  std::unordered_set<const Node*> seen(stack.begin(), stack.end());
  while (!stack.empty()) {
    Node* n = stack.back();
    stack.pop_back();
    if (!visit(*n)) continue;
    for (const Edge& e : n->edges())
      if (e.node && seen.insert(e.node.get()).second) stack.push_back(e.node.get());
  }
}

void nodes_of(const Var& v, std::vector<Node*>& found) {
  if (!v.layer) {
    if (v.node) found.push_back(v.node.get());
    return;
  }
  nodes_of(layer_of(v)->value, found);
  nodes_of(layer_of(v)->tangent, found);
}

}  // namespace

void lack_tangents(const Var& v, uint64_t first, const Ref<Level>& level, bool of_function) {
  std::vector<Node*> nodes;
  nodes_of(v, nodes);
  walk(std::move(nodes), [&](Node& n) {
    if (!is_newer(n, first)) return false;
    auto p = std::make_unique<Pushed>();
    p->level = level;
    p->missing = of_function ? kFunction : kPassed;
    p->older = std::move(n.pushed);
    n.pushed = std::move(p);
    return true;
  });
}

std::vector<Node*> nodes_between(const std::vector<Var>& roots, const std::vector<Var>& targets) {
  std::vector<Node*> stack, all, between;
  for (const Var& v : roots)
    if (const Var& value = innermost(v); value.node) stack.push_back(value.node.get());
  walk(std::move(stack), [&](Node& n) { return all.push_back(&n), true; });
  // Inputs come first: they are older, and leaves lead nowhere.
  std::ranges::sort(all, {}, [](const Node* n) { return n->is_leaf() ? 0 : n->sequence + 1; });
  std::unordered_set<const Node*> lead;
  for (const Var& v : targets) lead.insert(innermost(v).node.get());
  for (Node* n : all) {
    const auto leads = [&](const Edge& e) { return e.node && lead.contains(e.node.get()); };
    if (std::ranges::any_of(n->edges(), leads)) lead.insert(n);
    if (lead.contains(n)) between.push_back(n);
  }
  return between;
}

bool is_outdated(const Node& n) {
  for (const Pushed* p = pushed_of(n); p; p = p->next())
    if (p->function && p->function->keeps_its_own) return true;
  const auto* operation = n.pushed ? dynamic_cast<const OperationNode*>(&n) : nullptr;
  return operation && operation->outdated();
}

bool lacking(const Node& n, std::span<const Ref<Level>> along) {
  const Pushed* p = pushed_along(n, along);
  if (!p || p->released) return false;
  return p->missing || (p->function && p->function->lacks()) || changed(*p);
}

}  // namespace pb
