#include "tape/transform.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "core/small.h"
#include "tape/pushed.h"

namespace pb {

DeriveOp g_derive_op = nullptr;
void (*g_report_loop)(const Op&) = nullptr;
void (*g_refuse_batch)(const char*, bool) = nullptr;

const Op& derived(const Op& op, Derived kind, uint64_t mask, uint64_t need) {
  static auto& known = *new std::map<std::tuple<const Op*, Derived, uint64_t, uint64_t>, const Op*>();
  const Op*& d = known[{&op, kind, mask, need}];
  if (!d) d = g_derive_op(op, kind, mask, need);
  return *d;
}

namespace {

// One layer taken off the arguments: those of the newest level among them.
class Stripped {
 public:
  explicit Stripped(const Application& a)
      : current_(a.args.size()),
        args_(a.args.size()),
        tangents_(a.args.size()) {
    for (size_t i = 0; i < a.args.size(); ++i) {
      if (!a.args[i].var) continue;
      current_[i] = without_closed(*a.args[i].var);
      if (!current_[i].layer) continue;
      Level* l = layer_of(current_[i])->level.get();
      if (!level_ || l->number > level_->number) level_ = Ref<Level>(l);
    }
    for (size_t i = 0; i < args_.size(); ++i) {
      args_[i] = a.args[i];
      tangents_[i] = nullptr;
      if (!args_[i].var) continue;
      args_[i].var = &current_[i];
      ValueLayer* l = layer_of(current_[i]);
      if (!l || l->level.get() != level_.get()) continue;
      mask_ |= shared_bit(i);
      args_[i].var = &l->value;
      if (l->tangent.array.storage) tangents_[i] = &l->tangent;
    }
  }

  const Ref<Level>& level() const { return level_; }
  uint64_t mask() const { return mask_; }
  std::span<Argument> args() { return args_.span(); }
  std::span<const Var* const> tangents() const { return tangents_.span(); }
  // The application with the layer, and without those of closed levels.
  Application whole(const Application& a) {
    whole_.assign(a.args.begin(), a.args.end());
    for (size_t i = 0; i < whole_.size(); ++i)
      if (whole_[i].var) whole_[i].var = &current_[i];
    return {a.op, whole_, a.ints, a.symbolic};
  }
  ValueLayer* layer(size_t i) const {
    ValueLayer* l = layer_of(current_[i]);
    return l && l->level.get() == level_.get() ? l : nullptr;
  }

 private:
  Small<Var, 4> current_;
  Small<Argument, 4> args_;
  Small<const Var*, 4> tangents_;
  std::vector<Argument> whole_;
  Ref<Level> level_;
  uint64_t mask_ = 0;
};

// Inputs that share a bit of the mask are batched all or none.
void complete_batch(Stripped& s, std::vector<Var>& made) {
  if (s.args().size() <= 63 || !(s.mask() >> 63)) return;
  made.reserve(s.args().size());
  for (size_t i = 63; i < s.args().size(); ++i) {
    if (!s.args()[i].var || s.layer(i)) continue;
    made.push_back(expand_front(*s.args()[i].var, s.level()->size));
    s.args()[i].var = &made.back();
  }
}

// Sample by sample: right for every op, and slow.
void apply_looped(const Application& a, const Stripped& s, std::vector<Var>& out) {
  static const Op *select = find_op("select"), *stack = find_op("stack");
  const int64_t n = s.level()->size;
  if (n == 0) g_refuse_batch("an operation without a rule for batches cannot run on an empty batch", false);
  if (g_report_loop) g_report_loop(*a.op);
  std::vector<std::vector<Var>> parts;
  for (int64_t k = 0; k < n; ++k) {
    std::vector<Var> held(a.args.size()), results;
    std::vector<Argument> args(a.args.begin(), a.args.end());
    for (size_t i = 0; i < args.size(); ++i) {
      if (!s.layer(i)) continue;
      const Argument one[1] = {{args[i].var, {}}};
      const int64_t ints[2] = {0, k};
      held[i] = apply_one({select, one, ints, 2});
      args[i].var = &held[i];
    }
    apply({a.op, args, a.ints, a.symbolic}, results);
    parts.resize(results.size());
    for (size_t r = 0; r < results.size(); ++r) parts[r].push_back(std::move(results[r]));
  }
  for (std::vector<Var>& samples : parts) {
    std::vector<Argument> args;
    for (const Var& v : samples) args.push_back({&v, {}});
    const int64_t ints[2] = {n, 0};
    out.push_back(apply_one({stack, args, ints, 0}));
  }
}

// as_strided() of all samples at once, as a view of their memory: what is written there reaches the tensor. Not
// where the program has seen other steps than those between the elements of a sample.
bool apply_strided(const Application& a, Stripped& s, std::vector<Var>& out) {
  static const Op* as_strided = find_op("as_strided_of_base");
  if (a.op != as_strided) return false;
  const Var& x = *s.args()[0].var;
  const Meta& m = *x.array.meta;
  const size_t n = static_cast<size_t>(a.ints[0]);
  const auto size = a.ints.subspan(1, n), stride = a.ints.subspan(2 + n, n), base = a.ints.subspan(4 + 2 * n);
  bool same = base.size() + 1 == static_cast<size_t>(m.ndim);
  for (int k = 1; same && k < m.ndim; ++k) same = m.size(k) == 1 || m.stride(k) == base[k - 1];
  if (!same) return false;
  std::vector<int64_t> ints;
  const auto add = [&](int64_t first, std::span<const int64_t> rest) {
    ints.push_back(static_cast<int64_t>(rest.size() + 1));
    ints.push_back(first);
    ints.insert(ints.end(), rest.begin(), rest.end());
  };
  add(m.size(0), size);
  add(m.stride(0), stride);
  ints.push_back(a.ints[2 + 2 * n]);
  add(m.stride(0), base);
  const size_t lists = 5 + 2 * n;  // where the count of the last list stands
  const uint64_t counts = uint64_t{1} | uint64_t{1} << (2 + n) | uint64_t{1} << lists;
  out.push_back(apply_one({a.op, s.args(), ints, ~counts & ((uint64_t{1} << ints.size()) - 1)}));
  return true;
}

void apply_batched(const Application& a, Stripped& s, std::vector<Var>& out) {
  std::vector<Var> made, results;
  if (apply_strided(a, s, results)) {
    out.push_back(batched(s.level(), std::move(results[0])));
    return;
  }
  complete_batch(s, made);
  try {
    const Application all{&derived(*a.op, Derived::Batch, s.mask()), s.args(), a.ints, a.symbolic};
    if (Var one; apply_single(all, one)) return out.push_back(batched(s.level(), std::move(one)));
    apply(all, results);
  } catch (const NoBatchRule&) {
    results.clear();
    apply_looped({a.op, s.args(), a.ints, a.symbolic}, s, results);
  }
  for (Var& r : results) out.push_back(batched(s.level(), std::move(r)));
}

using Tangents = std::span<const Var* const>;

uint64_t mask_of(Tangents tangents) {
  uint64_t mask = 0;
  for (size_t i = 0; i < tangents.size(); ++i)
    if (tangents[i]) mask |= shared_bit(i);
  return mask;
}

// An op that only rearranges its one tensor does the same to the tangent, and views stay views: as long as it does
// not look at the memory of a tangent that lies there in another way.
bool passes_tangent(const Application& a, const Var* tangent) {
  static const Op *as_strided = find_op("as_strided_of_base"), *in_place = find_op("as_strided_in_place");
  if (a.op->family != Family::View || a.args.size() != 1 || !tangent) return false;
  if (a.op != as_strided && a.op != in_place) return true;
  return same_steps(*a.args[0].var->array.meta, *tangent->array.meta);
}

void levels_of(const Var& v, std::vector<const Level*>& found) {
  if (!v.layer) return;
  const ValueLayer& l = *layer_of(v);
  found.push_back(l.level.get());
  levels_of(l.value, found);
  levels_of(l.tangent, found);
}

// Whether tangents have layers that no value has, as the columns of a Jacobian do.
bool tangents_have_more(std::span<const Argument> tangents, std::span<const Argument> values) {
  std::vector<const Level*> theirs, known;
  for (const Argument& t : tangents) levels_of(*t.var, theirs);
  if (theirs.empty()) return false;
  for (const Argument& v : values)
    if (v.var) levels_of(*v.var, known);
  return std::ranges::any_of(theirs,
                             [&](const Level* l) { return std::ranges::find(known, l) == known.end(); });
}

// The arguments of an op with tangents: those of the floating-point inputs in the mask, then the op's own.
class WithTangents {
 public:
  WithTangents(const Application& a, Tangents tangents) : mask(mask_of(tangents)) {
    zeros_.reserve(a.args.size());
    for (size_t i = 0; i < a.args.size(); ++i) {
      if (!a.args[i].var || !needs(mask, i) || !is_float(a.args[i].var->array.meta->dtype)) continue;
      if (!tangents[i]) zeros_.push_back(zeros_like(*a.args[i].var->array.meta));
      args_.push_back({tangents[i] ? tangents[i] : &zeros_.back(), {}});
    }
    n_ = args_.size();
    args_.insert(args_.end(), a.args.begin(), a.args.end());
  }
  std::span<const Argument> args() const { return args_; }
  std::span<const Argument> tangents() const { return args().first(n_); }

  const uint64_t mask;

 private:
  std::vector<Var> zeros_;
  std::vector<Argument> args_;
  size_t n_;
};

// Results and their tangents: the op's own, joined by what the transpose of its rule makes of the tangents. `out`
// has each result, and behind a floating-point one its tangent. One program makes both, unless the values are to be
// worked out once for all samples that the tangents have.
void push_forward(const Application& a, Tangents tangents, std::vector<Var>& out) {
  const WithTangents w(a, tangents);
  if (!tangents_have_more(w.tangents(), a.args))
    return apply({&derived(*a.op, Derived::Dual, w.mask), w.args(), a.ints, a.symbolic}, out);
  std::vector<Var> values, dots;
  apply(a, values);
  if (std::ranges::any_of(values, [](const Var& v) { return is_float(v.array.meta->dtype); }))
    apply({&derived(*a.op, Derived::Tangents, w.mask), w.args(), a.ints, a.symbolic}, dots);
  size_t at = 0;
  for (Var& v : values) {
    const bool has_tangent = is_float(v.array.meta->dtype);
    out.push_back(std::move(v));
    if (has_tangent) out.push_back(std::move(dots[at++]));
  }
}

void apply_dual(const Application& a, Stripped& s, std::vector<Var>& out) {
  const Application inner{a.op, s.args(), a.ints, a.symbolic};
  if (!mask_of(s.tangents()) || !a.op->differentiable) return apply(inner, out);
  if (passes_tangent(inner, s.tangents()[0])) {
    const Argument args[1] = {{s.tangents()[0], {}}};
    Var tangent = apply_one({a.op, args, a.ints, a.symbolic});
    out.push_back(dual(s.level(), apply_one(inner), std::move(tangent)));
    return;
  }
  std::vector<Var> results;
  const size_t already = out.size();
  const uint64_t first = peek_sequence();
  push_forward(inner, s.tangents(), results);
  for (size_t k = 0; k < results.size(); ++k) {
    Var& r = results[k];
    if (!is_float(r.array.meta->dtype)) out.push_back(std::move(r));
    else out.push_back(dual(s.level(), std::move(r), std::move(results[++k])));
  }
  if (recording()) note_pushed(s.level(), s.whole(a), std::span(out).subspan(already), first);
}

}  // namespace

bool needed_inside(const Application& a) {
  if (!grad_enabled() || !a.op->differentiable) return false;
  return std::ranges::any_of(a.args, [](const Argument& x) { return x.var && innermost(*x.var).node; });
}

void apply_transformed(const Application& a, std::vector<Var>& out) {
  Stripped s(a);
  if (!s.level()) apply({a.op, s.args(), a.ints, a.symbolic}, out);
  else if (s.level()->kind == LayerKind::Batch) apply_batched(a, s, out);
  else apply_dual(a, s, out);
}

// ---- in place ----------------------------------------------------------------------------------------------

namespace {

void change(const Application& a, Var& self) {
  Ref<Node> node = apply_in_place(a);
  if (!node) return;
  self.node = std::move(node);
  self.nr = 0;
}

void change_batched(const Application& a, Stripped& s) {
  ValueLayer* self = s.layer(0);
  if (!self)
    g_refuse_batch("an in-place operation puts values of each sample into a tensor that all samples share",
                   true);
  if (const Meta& m = *self->value.array.meta; m.size(0) > 1 && m.stride(0) == 0)
    g_refuse_batch("an in-place operation changes a tensor that all samples share", false);
  const Op& op = derived(*a.op, Derived::Batch, s.mask());
  try {
    change({&op, s.args(), a.ints, a.symbolic}, self->value);
  } catch (const NoBatchRule&) { g_refuse_batch("an in-place operation has no rule for batches", false); }
}

Var of_type(const Var& like, Var v) {
  static const Op* copy = find_op("copy");
  if (v.array.meta->dtype == like.array.meta->dtype) return v;
  const Var zeros = zeros_like(*like.array.meta);
  const Argument pair[2] = {{&zeros, {}}, {&v, {}}};
  return apply_one({copy, pair, {}, 0});
}

// The tangent of what self is about to become. Where that may be recorded it is worked out from a copy, as what is
// saved must stay as it is when self is overwritten: `before`.
Var tangent_of_change(const Application& a, Stripped& s, Var& before) {
  static const Op* clone = find_op("clone");
  std::vector<Argument> args(s.args().begin(), s.args().end());
  const Var* self = args[0].var;
  if (recording()) {
    const Argument one[1] = {{self, {}}};
    before = apply_one({clone, one, {}, 0});
    for (Argument& x : args)
      if (x.var == self) x.var = &before;
  }
  const Application inner{a.op, args, a.ints, a.symbolic};
  const WithTangents w(inner, s.tangents());
  std::vector<Var> found;
  apply({&derived(*a.op, Derived::Tangents, w.mask), w.args(), a.ints, a.symbolic}, found);
  return of_type(*self, std::move(found[0]));
}

// The value is changed where it lies. Tangents are never written to, since one may serve several tensors (a
// clone has that of its original): the tensor gets another one.
void change_dual(const Application& a, Stripped& s, Var& outer) {
  ValueLayer* self = s.layer(0);
  Var& value = self ? self->value : outer;
  const bool had = self && self->tangent.array.storage;
  const bool has = mask_of(s.tangents()) && a.op->differentiable && is_float(value.array.meta->dtype);
  Var tangent, before;
  if (has) tangent = tangent_of_change(a, s, before);
  const Var place = innermost(value);
  const Var old = had && has && recording() ? dual(s.level(), before, self->tangent) : before;
  const uint64_t first = peek_sequence();
  s.args()[0].var = &value;
  change({a.op, s.args(), a.ints, a.symbolic}, value);
  if (has && recording()) {
    Application whole = s.whole(a);
    std::vector<Argument> args(whole.args.begin(), whole.args.end());
    for (size_t i = 0; i < args.size(); ++i)
      if (i == 0 || (self && s.layer(i) == self)) args[i].var = &old;
    whole.args = args;
    Var result = dual(s.level(), value, std::move(tangent));
    note_pushed(s.level(), whole, {&result, 1}, first, &place);
    value = layer_of(result)->value;
    tangent = layer_of(result)->tangent;
  }
  if (!has && had) tangent = zeros_like(*value.array.meta);
  if (!tangent.array.storage) return;
  if (self) self->tangent = laid_out_as(*value.array.meta, std::move(tangent));
  else outer = dual(s.level(), Var(value), std::move(tangent));
}

}  // namespace

void change_transformed(const Application& a) {
  // The caller's own value: it may gain a tangent, and loses the layers of levels that are closed.
  Var& outer = const_cast<Var&>(*a.args[0].var);
  outer = without_closed(outer);
  Stripped s(a);
  if (!s.level()) change({a.op, s.args(), a.ints, a.symbolic}, outer);
  else if (s.level()->kind == LayerKind::Batch) change_batched(a, s);
  else change_dual(a, s, outer);
}

}  // namespace pb
