#include "tape/plan.h"

#include <algorithm>
#include <array>
#include <list>
#include <unordered_map>

namespace pb {

MakeRule g_make_rule = nullptr;

namespace {

CacheStatistics g_statistics{};

uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9E3779B97F4A7C15ull;
  return h ^ (h >> 29);
}

// Plans: a set-associative table, so that it is bounded by construction. A plan that is pushed out is bound
// again in microseconds, from the rule that the second table still holds.
class PlanTable {
 public:
  static constexpr size_t kSets = 4096, kWays = 4;

  static uint64_t hash(const Application& a, uint64_t need) {
    uint64_t h = mix(reinterpret_cast<uintptr_t>(a.op), need);
    for (const Argument& x : a.args) {
      h = mix(h, x.var ? reinterpret_cast<uintptr_t>(x.var->array.meta.get())
                       : static_cast<uint64_t>(x.scalar.kind));
    }
    for (int64_t v : a.ints) h = mix(h, static_cast<uint64_t>(v));
    return h;
  }

  static bool matches(const Plan& p, const Application& a, uint64_t need) {
    if (p.op != a.op || p.need != need || p.in.size() != a.args.size() || p.ints.size() != a.ints.size())
      return false;
    for (size_t i = 0; i < a.args.size(); ++i) {
      const Argument& x = a.args[i];
      if (p.in[i].get() != (x.var ? x.var->array.meta.get() : nullptr)) return false;
      if (!x.var && p.kinds[i] != x.scalar.kind) return false;
    }
    return std::equal(a.ints.begin(), a.ints.end(), p.ints.begin());
  }

  Plan* find(uint64_t h, const Application& a, uint64_t need) {
    auto& set = sets_[h % kSets];
    for (size_t w = 0; w < kWays; ++w) {
      if (set[w] && matches(*set[w], a, need)) {
        if (w) std::swap(set[w], set[w - 1]);
        return set[w ? w - 1 : 0].get();
      }
    }
    return nullptr;
  }

  void add(uint64_t h, Ref<Plan> p) {
    auto& set = sets_[h % kSets];
    if (!set.back()) ++g_statistics.plans;
    std::move_backward(set.begin(), set.end() - 1, set.end());
    set[0] = std::move(p);
  }

  void clear() {
    for (auto& set : sets_) set.fill(nullptr);
    g_statistics.plans = 0;
  }

 private:
  std::array<std::array<Ref<Plan>, kWays>, kSets> sets_;
};

// Rules by symbolic key, least recently used out first. Several programs may share a key: their guards tell.
class RuleTable {
 public:
  static constexpr size_t kLimit = 8192;
  using Key = std::vector<int64_t>;

  static Key key(const Application& a, uint64_t need) {
    Key k{reinterpret_cast<intptr_t>(a.op), static_cast<int64_t>(need), static_cast<int64_t>(a.symbolic),
          static_cast<int64_t>(default_dtype()), static_cast<int64_t>(a.args.size())};
    for (const Argument& x : a.args) {
      if (!x.var) k.push_back(-1 - static_cast<int64_t>(x.scalar.kind));
      else k.push_back(x.var->array.meta->ndim * 64 + static_cast<int64_t>(x.var->array.meta->dtype));
    }
    for (size_t i = 0; i < a.ints.size(); ++i)
      if (i >= 64 || !(a.symbolic >> i & 1)) k.push_back(a.ints[i]);
    return k;
  }

  std::vector<Ref<RuleProgram>>& at(const Key& k) {
    if (auto it = index_.find(k); it != index_.end()) {
      order_.splice(order_.begin(), order_, it->second);
      return it->second->second;
    }
    if (order_.size() >= kLimit) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.push_front({k, {}});
    index_[k] = order_.begin();
    return order_.front().second;
  }

  size_t size() const { return order_.size(); }
  void clear() {
    index_.clear();
    order_.clear();
  }

 private:
  struct Hash {
    size_t operator()(const Key& k) const {
      uint64_t h = k.size();
      for (int64_t v : k) h = mix(h, static_cast<uint64_t>(v));
      return h;
    }
  };
  using Order = std::list<std::pair<Key, std::vector<Ref<RuleProgram>>>>;
  Order order_;
  std::unordered_map<Key, Order::iterator, Hash> index_;
};

PlanTable& plans() {
  static PlanTable& t = *new PlanTable();  // never destroyed: its rules hold Python objects
  return t;
}
RuleTable& rules() {
  static RuleTable& t = *new RuleTable();
  return t;
}

void bind_forward(Plan& p, const Application& a) {
  // A program takes tensors as inputs and numbers as scalars; the argument list holds both.
  std::vector<const Meta*> tensors;
  for (size_t i = 0; i < a.args.size(); ++i) {
    if (!a.args[i].var) continue;
    tensors.push_back(a.args[i].var->array.meta.get());
    p.arguments.push_back(static_cast<int32_t>(i));
  }
  const RuleTable::Key key = RuleTable::key(a, p.need);
  {
    auto& known = rules().at(key);
    for (size_t k = 0; k < known.size(); ++k) {
      Ref<RuleProgram> rule = known[k];
      if (Ref<Bound> b = Bound::bind(rule->forward, tensors, a.ints)) {
        p.rule = rule;
        p.forward = std::move(b);
        return;
      }
    }
  }
  ++g_statistics.rule_misses;
  RuleKey rule_key{a.op, p.need, {}, a.ints, a.symbolic};
  for (const Argument& x : a.args)
    rule_key.operands.push_back({x.var ? x.var->array.meta.get() : nullptr, x.scalar.kind});
  p.rule = g_make_rule(rule_key);
  p.forward = Bound::bind(p.rule->forward, tensors, a.ints);
  if (!p.forward)
    fail(ErrorKind::Runtime, a.op->name, ": the traced program does not hold for its own sizes");
  rules().at(key).push_back(p.rule);
}

// A single kernel over contiguous arrays needs no program at all.
void find_direct(Plan& p) {
  const Op& op = *p.op;
  const Meta* out = p.out[0].get();
  if (op.family == Family::View) {
    p.view = p.forward->results().size() == 1 && p.forward->results()[0].input == 0;
    return;
  }
  if (op.family != Family::Elementwise || op.typing == Typing::Where || p.out.size() != 1) return;
  if (!out->is_contiguous || out->numel * op.block->cost >= (1 << 16)) return;
  std::vector<Operand> operands;
  for (size_t i = 0; i < p.in.size(); ++i) {
    if (!p.in[i] && p.in.size() != 2) return;  // a number is spread beside one tensor only
    operands.push_back({p.in[i].get(), p.kinds[i]});
  }
  const ElementwiseTypes types = elementwise_types(op, operands, p.ints);
  if (op.typing == Typing::Cast) return;
  for (const auto& m : p.in) {
    if (!m) continue;
    if (m->dtype != types.compute || !m->is_contiguous || m->numel != out->numel || m->ndim != out->ndim)
      return;
  }
  p.direct = op.block->fn[static_cast<int>(types.compute)];
}

}  // namespace

namespace {

// The plan that an op used last, with and without gradients: a loop asks for the same one again and again.
std::vector<std::array<Ref<Plan>, 2>>& recent_plans() {
  static auto& table = *new std::vector<std::array<Ref<Plan>, 2>>();
  return table;
}
Ref<Plan>& recent(const Op& op, bool recorded) {
  auto& table = recent_plans();
  if (static_cast<size_t>(op.id) >= table.size()) table.resize(op.id + 64);
  return table[op.id][recorded];
}

}  // namespace

Plan& find_plan(const Application& a, uint64_t need) {
  Ref<Plan>& last = recent(*a.op, need != 0);
  if (last && PlanTable::matches(*last, a, need)) {
    ++g_statistics.plan_hits;
    return *last;
  }
  const uint64_t h = PlanTable::hash(a, need);
  if (Plan* p = plans().find(h, a, need)) {
    ++g_statistics.plan_hits;
    last = Ref<Plan>(p);
    return *p;
  }
  ++g_statistics.plan_misses;
  Ref<Plan> p(new Plan());
  p->op = a.op;
  p->need = need;
  p->symbolic = a.symbolic;
  for (const Argument& x : a.args) {
    p->in.push_back(x.var ? x.var->array.meta : Ref<Meta>());
    p->kinds.push_back(x.scalar.kind);
  }
  p->ints.assign(a.ints.begin(), a.ints.end());
  bind_forward(*p, a);
  if (p->forward->results().empty())
    fail(ErrorKind::Runtime, a.op->name, ": nothing would come of these arguments");
  for (size_t k = 0; k < p->forward->results().size(); ++k)
    p->out.emplace_back(const_cast<Meta*>(p->forward->result_meta(static_cast<int>(k))));
  find_direct(*p);
  plans().add(h, p);
  recent(*a.op, need != 0) = p;  // tracing may have registered ops: look it up again
  return *p;
}

const Bound& Plan::backward(uint64_t cotangents, std::span<const Meta* const> metas) {
  for (Entry& e : backward_) {
    if (e.cotangents != cotangents) continue;
    if (std::equal(metas.begin(), metas.end(), e.metas.begin(), e.metas.end(),
                   [](const Meta* a, const Ref<Meta>& b) { return a == b.get(); }))
      return *e.bound;
  }
  std::vector<const Meta*> inputs(metas.begin(), metas.end());
  for (int32_t i : arguments) inputs.push_back(in[i].get());
  for (const auto& m : out) inputs.push_back(m.get());
  ++g_statistics.bindings;
  Ref<Bound> bound = Bound::bind(rule->backward(cotangents), inputs, ints);
  if (!bound) fail(ErrorKind::Runtime, op->name, ": the backward program does not hold for these sizes");
  Entry e{cotangents, {}, bound};
  for (const Meta* m : metas) e.metas.emplace_back(const_cast<Meta*>(m));
  if (backward_.size() >= kEntries) backward_.erase(backward_.begin());
  backward_.push_back(std::move(e));
  return *backward_.back().bound;
}

CacheStatistics cache_statistics() {
  g_statistics.rules = static_cast<int64_t>(rules().size());
  return g_statistics;
}

void clear_plans() {
  plans().clear();
  recent_plans().clear();
}

void clear_caches() {
  clear_plans();
  rules().clear();
}

}  // namespace pb
