// A recorded operation: what its node keeps, and how it runs on the way back.
#include <algorithm>
#include <new>

#include "core/shape.h"
#include "core/small.h"
#include "runtime/allocator.h"
#include "tape/tape.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace pb {

Ref<OperationNode> OperationNode::make(Ref<Plan> plan, const Application& a) {
  const size_t edges = plan->arguments.size(), saves = plan->rule->saves.size();
  const size_t scalars = a.args.size() - edges;
  const size_t bytes =
      sizeof(OperationNode) + edges * sizeof(Edge) + saves * sizeof(Saved) + scalars * sizeof(Scalar);
  void* block = pb::allocate(bytes);
  if (!block) fail(ErrorKind::Memory, "can't allocate memory for a node of the graph");
  auto* n = new (block) OperationNode();
  n->edges_ = reinterpret_cast<Edge*>(n + 1);
  n->edge_count_ = static_cast<uint32_t>(edges);
  n->saved_capacity_ = static_cast<uint32_t>(saves);
  n->scalar_count_ = static_cast<uint32_t>(scalars);
  n->sequence = next_sequence();
  for (size_t k = 0; k < edges; ++k) {
    const Var* v = a.args[plan->arguments[k]].var;
    new (n->edges_ + k) Edge{needs(plan->need, plan->arguments[k]) ? v->node : Ref<Node>(), v->nr};
    if (v->node) n->scopes |= v->node->scopes;
  }
  for (size_t k = 0; k < saves; ++k) new (n->saved_begin() + k) Saved();
  size_t s = 0;
  for (const Argument& x : a.args)
    if (!x.var) new (n->scalars_begin() + s++) Scalar(x.scalar);
  n->plan_ = std::move(plan);
  Ref<OperationNode> node(n);
  if (n->scopes & kPerhapsLost) [[unlikely]]
    for (const Edge& e : n->edges()) check_not_lost(e.node.get());
  watch_creation(*n);
  return node;
}

void OperationNode::save(const Application& a, std::span<const Array> outputs) {
  keep(a, outputs);
  if (g_pack_saved) [[unlikely]]
    g_pack_saved(*this);
}

void OperationNode::keep(const Application& a, std::span<const Array> outputs) {
  const auto& saves = plan_->rule->saves;
  for (size_t k = 0; k < saves.size(); ++k) {
    const Save& s = saves[k];
    const Array& from = s.output ? outputs[s.index] : a.args[plan_->arguments[s.index]].var->array;
    // Inside a scope all tensors are differentiated, whatever mode they were made in.
    if (from.storage && from.storage->inference && !(scopes & ~1u)) fail(ErrorKind::Grad, kInferenceSaved);
    // A value of which only the shape is read may have come without elements.
    saved_begin()[k] = {from, from.storage ? from.storage->version : 0};
  }
  saved_count_ = static_cast<uint32_t>(saves.size());
}

uint32_t OperationNode::differentiable_outputs() const {
  uint32_t n = static_cast<uint32_t>(plan_->rule->visible);
  while (n > 1 && !is_float(plan_->out[n - 1]->dtype)) --n;
  return n;
}

void OperationNode::release_saved() {
  for (Saved& s : saved()) s = Saved();
  saved_count_ = 0;
  released_ = true;
  if (packed_) {
    const auto dropped = std::move(extras->packed);  // what dies with them may look at this node
    extras->packed.clear();
  }
}

void OperationNode::destroy() {
  const size_t bytes = sizeof(OperationNode) + edge_count_ * sizeof(Edge) + saved_capacity_ * sizeof(Saved) +
                       scalar_count_ * sizeof(Scalar);
  for (size_t k = 0; k < saved_capacity_; ++k) saved_begin()[k].~Saved();
  std::destroy_n(edges_, edge_count_);
  this->~OperationNode();
  pb::deallocate(this, bytes);
}

std::string short_name(const std::string& node_name) {
  static constexpr std::string_view kWord = "Backward";
  const size_t at = node_name.rfind(kWord);
  if (at == std::string::npos) return node_name;
  if (at + kWord.size() == node_name.size()) return node_name.substr(0, at);  // of a user's Function
  if (at + kWord.size() + 1 != node_name.size()) return node_name;
  const char digit = node_name.back();
  if (digit < '0' || digit > '9') return node_name;
  return node_name.substr(0, at) + (digit == '0' ? "" : std::string(1, digit));
}

// What torch calls the value in its message: "Mul" for an output of MulBackward0; nothing for a leaf.
std::string OperationNode::name_of_saved(const Saved& s, const Save& source) const {
  const Node* maker = source.output ? this : edges_[source.index].node.get();
  if (!maker || maker->is_leaf()) return {};
  const std::string* name = &maker->name();
  const std::string* change = s.array.storage->changed_by;
  static const std::string view = "AsStridedBackward0";
  if (change && !source.output) {
    const auto* n = dynamic_cast<const OperationNode*>(maker);
    name = n && n->plan().op->family == Family::View ? &view : change;
  }
  return concat(", which is output ", source.output ? source.index : 0, " of ", short_name(*name), ",");
}

void OperationNode::check_saved(const Saved& s, size_t k) const {
  if (!s.array.storage || s.array.storage->version == s.version) return;
  const Save& source = plan_->rule->saves[k];
  const Meta& m = *s.array.meta;
  fail(ErrorKind::Inplace,
       "one of the variables needed for gradient computation has been modified by an inplace ",
       "operation: [torch.", info(m.dtype).legacy, " ", shape_text(m.shape()), "]", name_of_saved(s, source),
       " is at version ", s.array.storage->version, "; expected version ", s.version, " instead. ",
       anomaly_hint(), "\n", plan_->op->name, " keeps its ", source.output ? "output" : "input",
       " for the backward pass: change a clone of it, or change it after backward().",
       change_text(place, s.array.storage->changed_at));
}

// A node that keeps nothing may run again, as in torch. A number that it multiplies by counts as kept.
bool OperationNode::needs_saved(uint64_t cotangents) const {
  if (saved_capacity_) return true;
  if (!scalar_count_ || plan_->op->family != Family::Elementwise) return false;
  return std::ranges::any_of(plan_->rule->backward(cotangents)->numbers,
                             [](const ScalarExpr& e) { return e.kind == ScalarExpr::Kind::Input; });
}

// Outputs from 63 on share a bit: a backward program takes the cotangents of all of them or of none.
void OperationNode::complete_shared(std::vector<Var>& cotangents) const {
  const bool any =
      std::any_of(cotangents.begin() + 63, cotangents.end(), [](const Var& c) { return !!c.array.storage; });
  if (!any) return;
  cotangents.resize(plan_->out.size());
  for (size_t i = 63; i < cotangents.size(); ++i) {
    const Meta& m = *plan_->out[i];
    if (cotangents[i].array.storage || !is_float(m.dtype)) continue;
    cotangents[i] = zeros_like(m);
  }
}

// What a node keeps, while its backward runs: long kernels let other threads run, which may free the graph. A graph
// that is freed anyway gives its values away, so that results may take over their memory; an error puts them back.
class OperationNode::Held {
 public:
  Held(OperationNode& n, bool copy) : node_(n), given_(!copy && n.saved_count_), values_(n.saved_count_) {
    for (size_t k = 0; k < values_.size(); ++k) {
      if (copy) values_[k] = n.saved()[k];
      else values_[k] = std::exchange(n.saved()[k], Saved());
    }
    if (!given_) return;
    n.saved_count_ = 0;
    n.released_ = true;
  }
  ~Held() {
    if (!given_ || std::uncaught_exceptions() == before_) return;
    for (size_t k = 0; k < values_.size(); ++k) node_.saved_begin()[k] = std::move(values_[k]);
    node_.saved_count_ = static_cast<uint32_t>(values_.size());
    node_.released_ = false;
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  std::span<Saved> values() { return values_.span(); }

 private:
  OperationNode& node_;
  bool given_;
  int before_ = std::uncaught_exceptions();
  Small<Saved, 8> values_;
};

void OperationNode::run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode& mode) {
  const RuleProgram& rule = *plan_->rule;
  std::vector<Var> completed;
  if (cotangents.size() > 63) {
    completed.assign(cotangents.begin(), cotangents.end());
    complete_shared(completed);
    cotangents = completed;
  }
  uint64_t mask = 0;
  const size_t values = plan_->arguments.size() + plan_->out.size();
  Small<const Array*, 24> inputs(cotangents.size() + values);
  Small<const Meta*, 8> metas(cotangents.size());
  size_t n = 0;
  for (size_t i = 0; i < cotangents.size(); ++i) {
    if (!cotangents[i].array.storage) continue;
    mask |= shared_bit(i);
    metas[n] = cotangents[i].array.meta.get();
    inputs[n++] = &cotangents[i].array;
  }
  if (released_ && needs_saved(mask)) fail(ErrorKind::Grad, kFreedGraph);
  std::vector<Array> unpacked;
  if (packed_) [[unlikely]]
    unpacked = unpack_all();
  else
    for (size_t k = 0; k < saved_count_; ++k) check_saved(saved()[k], k);
  if (mode.create_graph || has_layers(cotangents)) return run_recorded(cotangents, mask, unpacked, out);
  // The first time, this derives a program; meanwhile another thread may run this node, and free what it keeps.
  Ref<Bound> bound(const_cast<Bound*>(&plan_->backward(mask, {metas.data(), n})));
  if (released_ && needs_saved(mask)) fail(ErrorKind::Grad, kFreedGraph);
  // Hooks and watches after it may still look.
  Held held(*this, mode.keep_graph || extras || (g_watched & kWatchNonfinite));
  std::fill_n(inputs.data() + n, values, nullptr);
  for (size_t k = 0; k < held.values().size(); ++k) {
    const Save& s = rule.saves[k];
    inputs[n + (s.output ? plan_->arguments.size() + s.index : s.index)] =
        unpacked.empty() ? &held.values()[k].array : &unpacked[k];
  }
  Small<Array, 4> arrays(bound->results().size());
  // What is freed after this step anyway may hold its results. Hooks may still look at the cotangents.
  uint64_t donated = extras ? 0 : n < 64 ? (uint64_t{1} << n) - 1 : ~uint64_t{0};
  if (!mode.keep_graph && n + values < 64) donated |= ((uint64_t{1} << values) - 1) << n;
  if (g_watched & kWatchNonfinite) donated = 0;  // a judgement names the operands' values
  bound->run({inputs.data(), n + values}, scalars(), arrays.span(), donated);
  collect_outputs(arrays.span(), out);
}

// The program returns the gradients of the inputs that need one, in order.
void OperationNode::collect_outputs(std::span<Array> results, std::span<Var> out) const {
  size_t at = 0;
  for (size_t k = 0; k < edge_count_; ++k) {
    if (!needs(plan_->need, plan_->arguments[k])) continue;
    if (at < results.size()) out[k].array = std::move(results[at]);
    ++at;
  }
}

Var OperationNode::reattach(size_t k, Array value) {
  const Save& s = plan_->rule->saves[k];
  Var v{std::move(value), nullptr, 0};
  if (s.output) {
    if (is_float(v.array.meta->dtype)) v.node = Ref<Node>(this), v.nr = static_cast<uint32_t>(s.index);
  } else {
    v.node = edges_[s.index].node;
    v.nr = edges_[s.index].nr;
  }
  return v;
}

// With create_graph the same backward program runs as an op of its own, and is recorded in its turn.
void OperationNode::run_recorded(std::span<Var> cotangents, uint64_t mask, std::span<const Array> unpacked,
                                 std::span<Var> out) {
  Ref<Plan> plan = plan_;
  const size_t inputs = plan->arguments.size();
  std::vector<Var> values(inputs + plan->out.size());
  for (size_t k = 0; k < inputs; ++k) values[k].array.meta = plan->in[plan->arguments[k]];
  for (size_t k = 0; k < plan->out.size(); ++k) values[inputs + k].array.meta = plan->out[k];
  for (size_t k = 0; k < saved_count_; ++k) {
    const Save& s = plan->rule->saves[k];
    values[s.output ? inputs + s.index : s.index] =
        reattach(k, unpacked.empty() ? saved()[k].array : unpacked[k]);
  }
  std::vector<Argument> args;
  for (const Var& c : cotangents)
    if (c.array.storage) args.push_back({&c, {}});
  for (const Var& v : values) args.push_back({&v, {}});
  for (const Scalar& s : scalars()) args.push_back({nullptr, s});
  std::vector<Var> results;
  const Application again{plan->rule->backward_op(mask), args, plan->ints, plan->symbolic};
  // The engine looks at the gradients, and knows this node; but not at what lies under layers.
  const Unwatched quiet(!has_layers(again));
  apply(again, results);
  size_t at = 0;
  for (size_t k = 0; k < edge_count_; ++k) {
    if (!needs(plan->need, plan->arguments[k])) continue;
    if (at < results.size()) out[k] = std::move(results[at]);
    ++at;
  }
}

}  // namespace pb
