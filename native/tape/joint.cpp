// A node before those that made some results, for gradients with tangents that none of them could work out alone.
#include "core/shape.h"
#include "tape/pushed.h"
#include "tape/watch.h"

namespace pb {
namespace {

bool has_place(const Var& r) { return is_float(r.array.meta->dtype) && innermost(r).node; }

// Whether the program sees the gradients of these arguments as those of the node.
bool leads_to(Node& n, Arguments arguments) {
  const Pushed* p = applied_at(n);
  const size_t count = p ? p->edges.size() : n.edges().size();
  if (count != arguments.size()) return false;
  for (size_t k = 0; k < count; ++k) {
    const Edge& e = n.edges()[p ? p->edges[k] : k];
    const Var& v = innermost(*arguments[k]);
    if (e.node && (e.node.get() != v.node.get() || e.nr != v.nr)) return false;
  }
  return true;
}

// The one node that made all results of these arguments; null if several did.
Ref<Node> only_node(Arguments arguments, std::span<const Var> results) {
  Ref<Node> only;
  for (const Var& r : results) {
    if (!has_place(r)) continue;
    const Ref<Node>& node = innermost(r).node;
    if (only && only.get() != node.get()) return {};
    only = node;
  }
  return only && leads_to(*only, arguments) ? only : Ref<Node>();
}

}  // namespace

Var moved(const Var& v, const Ref<Node>& node, uint32_t nr) {
  if (!v.layer) return {v.array, node, nr, {}};
  const ValueLayer& l = *layer_of(v);
  Var out = v;
  out.layer = Ref<Layer>(new ValueLayer(l.level, moved(l.value, node, nr), l.tangent));
  return out;
}

Ref<JointNode> JointNode::make(const std::string& name, Arguments arguments, std::span<Var> results) {
  Ref<JointNode> joint(new JointNode(name));
  std::vector<Edge>& edges = joint->own_edges_;
  joint->sequence = next_sequence();
  joint->only_ = only_node(arguments, results);
  for (Var& r : results) {
    if (!has_place(r)) continue;
    const Var v = innermost(r);
    const size_t nr = joint->only_ ? v.nr : edges.size();
    if (edges.size() <= nr) edges.resize(nr + 1);
    edges[nr] = {v.node, v.nr};
    joint->metas_.resize(edges.size());
    joint->metas_[nr] = v.array.meta;
    r = moved(r, Ref<Node>(joint.get()), static_cast<uint32_t>(nr));
  }
  for (const Var* v : arguments) edges.push_back({innermost(*v).node, innermost(*v).nr});
  for (const Edge& e : edges)
    if (e.node) joint->scopes |= e.node->scopes;
  joint->edges_ = edges.data();
  joint->edge_count_ = static_cast<uint32_t>(edges.size());
  watch_creation(*joint);
  return joint;
}

void JointNode::run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode&) {
  if (!only_ && extras && extras->shows_gradients())
    fail(ErrorKind::Runtime, "a hook on the node of ", name_,
         " cannot be shown its gradients: it was run in several pieces",
         "\nPut the hook on a tensor, or ask for the gradients while the level of tangents is open.");
  for (size_t k = 0; k < cotangents.size() && k < metas_.size(); ++k) out[k] = cotangents[k];
}

Node& known_as(Node& n) {
  const auto* joint = dynamic_cast<const JointNode*>(&n);
  return joint && joint->only() ? known_as(*joint->only()) : n;
}

}  // namespace pb
