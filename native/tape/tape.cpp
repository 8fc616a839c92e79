#include "tape/tape.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <unordered_map>

#include "core/shape.h"
#include "core/small.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace pb {
namespace {

thread_local bool t_grad_enabled = true;
thread_local uint64_t t_sequence = 0;

constexpr int64_t kDirectBlock = 512;

}  // namespace

uint64_t needed(const Application& a) {
  if (!t_grad_enabled || !a.op->differentiable || inference_mode()) return 0;
  uint64_t mask = 0;
  for (size_t i = 0; i < a.args.size(); ++i)
    if (a.args[i].var && a.args[i].var->node) mask |= shared_bit(i);
  // Whole numbers have no gradient, so that nobody asks for the place of what is converted to them.
  if (mask && a.op->typing == Typing::Cast && !is_float(static_cast<DType>(a.ints.back()))) return 0;
  return mask;
}

namespace {

// Same-shape contiguous operands: the kernel itself, with numbers spread over a block on the stack.
void run_direct(const Plan& p, const Application& a, void* out) {
  const int64_t n = p.out[0]->numel;
  if (n == 0) return;
  const void* in[3] = {nullptr, nullptr, nullptr};
  int number = -1;
  for (size_t i = 0; i < a.args.size(); ++i) {
    if (a.args[i].var) in[i] = a.args[i].var->array.data();
    else number = static_cast<int>(i);
  }
  if (number < 0) return p.direct(out, in[0], in[1], in[2], n);
  alignas(64) char block[kDirectBlock * 8];
  const DType d = p.in[number == 0 ? 1 : 0]->dtype;
  const int64_t width = size_of(d);
  store_scalar(a.args[number].scalar, d, block);
  const int64_t m = std::min(n, kDirectBlock);
  if (width == 4)
    std::fill_n(reinterpret_cast<uint32_t*>(block) + 1, m - 1, *reinterpret_cast<uint32_t*>(block));
  else if (width == 8)
    std::fill_n(reinterpret_cast<uint64_t*>(block) + 1, m - 1, *reinterpret_cast<uint64_t*>(block));
  else std::fill_n(block + 1, m - 1, block[0]);
  const int64_t out_width = size_of(p.out[0]->dtype);
  for (int64_t i = 0; i < n; i += kDirectBlock) {
    const int64_t count = std::min(kDirectBlock, n - i);
    const char* t = static_cast<const char*>(in[number == 0 ? 1 : 0]) + i * width;
    p.direct(static_cast<char*>(out) + i * out_width, number == 0 ? block : t, number == 0 ? t : block,
             nullptr, count);
  }
}

void run_bound(const Plan& p, const Application& a, std::span<Array> results, bool over_first = false) {
  Small<const Array*, 16> inputs(p.arguments.size());
  for (size_t k = 0; k < p.arguments.size(); ++k) inputs[k] = &a.args[p.arguments[k]].var->array;
  Small<Scalar, 8> scalars(a.args.size() - p.arguments.size());
  size_t n = 0;
  for (const Argument& x : a.args)
    if (!x.var) scalars[n++] = x.scalar;
  p.forward->run(inputs.span(), scalars.span(), results, 0, over_first);
}

}  // namespace

bool grad_enabled() { return t_grad_enabled; }
void set_grad_enabled(bool on) { t_grad_enabled = on; }
uint64_t next_sequence() { return t_sequence++; }
uint64_t peek_sequence() { return t_sequence; }

// A node that dies may be the last to hold those before it; a worklist keeps the stack flat.
void Node::dispose(Node* first) {
  struct Pending {
    std::vector<Node*> nodes;
    bool running = false;
  };
  static thread_local Pending of_thread;
  Pending& p = of_thread;  // looked up once
  p.nodes.push_back(first);
  if (p.running) return;
  p.running = true;
  while (!p.nodes.empty()) {
    Node* n = p.nodes.back();
    p.nodes.pop_back();
    n->destroy();  // edges that reach zero come back here through release()
  }
  p.running = false;
}

namespace {

// One kernel call; the result is the only output.
Var apply_direct(Plan& p, const Application& a) {
  Var v{Array::allocate(p.out[0]), nullptr, 0};
  run_direct(p, a, v.array.data());
  const Ref<Plan> hold(g_watched ? &p : nullptr);  // a judgement runs ops, which may push the plan out
  watch_results(a, {&v.array, 1});
  if (p.need) {
    Ref<OperationNode> node = OperationNode::make(Ref<Plan>(&p), a);
    node->save(a, {&v.array, 1});
    v.node = Ref<Node>::adopt(node.detach());
  }
  return v;
}

template <class Emit> void apply_planned(Plan& p, const Application& a, Emit&& emit);

Plan& plan_of(const Application& a) {
  if (a.op->divides) check_divisor(a);
  return find_plan(a, needed(a));
}

}  // namespace

void apply(const Application& a, std::vector<Var>& out) {
  if (has_layers(a)) [[unlikely]]
    return apply_transformed(a, out);
  Plan& p = plan_of(a);
  if (p.direct) out.push_back(apply_direct(p, a));
  else apply_planned(p, a, [&](Var&& v) { out.push_back(std::move(v)); });
}

Var apply_one(const Application& a) {
  if (has_layers(a)) [[unlikely]] {
    std::vector<Var> out;
    apply_transformed(a, out);
    return std::move(out[0]);
  }
  Plan& p = plan_of(a);
  if (p.direct) return apply_direct(p, a);
  Var first;
  apply_planned(p, a, [&](Var&& v) {
    if (v.nr == 0) first = std::move(v);
  });
  return first;
}

bool apply_single(const Application& a, Var& out) {
  if (has_layers(a)) [[unlikely]]
    return false;
  Plan& p = plan_of(a);
  if (p.rule->visible != 1) return false;
  if (p.direct) out = apply_direct(p, a);
  else apply_planned(p, a, [&](Var&& v) { out = std::move(v); });
  return true;
}

namespace {

template <class Emit> void apply_planned(Plan& p, const Application& a, Emit&& emit) {
  const uint64_t need = p.need;
  Small<Array, 4> results(p.out.size());
  Ref<Plan> hold(&p);  // a kernel may let another thread run, and that may push the plan out
  if (p.view) {
    const Array& from = a.args[0].var->array;
    results[0] = {from.storage, p.out[0], from.offset + p.forward->result_offset(0)};
  } else {
    run_bound(p, a, results.span());
    watch_results(a, results.span());
  }
  Ref<OperationNode> node;
  if (need) {
    node = OperationNode::make(hold, a);
    node->save(a, results.span());
  }
  for (int32_t k = 0; k < p.rule->visible; ++k) {
    Var v{std::move(results[k]), nullptr, static_cast<uint32_t>(k)};
    // Integer and boolean results take no part in differentiation.
    if (node && is_float(v.array.meta->dtype)) v.node = Ref<Node>(node.get());
    emit(std::move(v));
  }
}

}  // namespace

Ref<Node> record(const Application& a) {
  const uint64_t need = needed(a);
  if (!need) return nullptr;
  Plan& p = find_plan(a, need);
  Ref<OperationNode> node = OperationNode::make(Ref<Plan>(&p), a);
  for (const Save& s : p.rule->saves)
    if (s.output)
      fail(ErrorKind::Runtime, p.op->name, ": its backward reads its output; it cannot be recorded alone");
  node->save(a, {});
  return Ref<Node>(node.get());
}

// ---- in place ----------------------------------------------------------------------------------------------

bool same_memory(const Array& a, const Array& b) { return a.storage->root() == b.storage->root(); }

void check_no_internal_overlap(const Array& a) {
  for (int i = 0; i < a.meta->ndim; ++i) {
    if (a.meta->size(i) > 1 && a.meta->stride(i) == 0) {
      fail(ErrorKind::Runtime,
           "unsupported operation: more than one element of the written-to tensor refers to a ",
           "single memory location. Please clone() the tensor before performing the operation.");
    }
  }
}

Overlap overlap_of(const Array& a, const Array& b) {
  if (!same_memory(a, b) || !a.meta->is_dense || !b.meta->is_dense || !a.meta->numel || !b.meta->numel)
    return Overlap::None;
  const char* a0 = static_cast<char*>(a.data());
  const char* b0 = static_cast<char*>(b.data());
  const char *a1 = a0 + a.meta->bytes(), *b1 = b0 + b.meta->bytes();
  if (a0 == b0 && a1 == b1 && std::ranges::equal(a.meta->strides(), b.meta->strides())) return Overlap::Whole;
  return a0 < b1 && b0 < a1 ? Overlap::Partial : Overlap::None;
}

void check_no_overlap(const Array& a, const Array& b, bool whole_too) {
  const Overlap found = overlap_of(a, b);
  if (found == Overlap::Partial || (found == Overlap::Whole && whole_too)) {
    fail(ErrorKind::Runtime,
         "unsupported operation: some elements of the input tensor and the written-to tensor refer ",
         "to a single memory location. Please clone() the tensor before performing the operation.");
  }
}

void check_fits(const Meta& result, const Meta& self) {
  if (!std::ranges::equal(result.shape(), self.shape())) {
    fail(ErrorKind::Shape, "output with shape ", shape_text(self.shape()),
         " doesn't match the broadcast shape ", shape_text(result.shape()),
         "\nAn in-place operation cannot change the shape of its tensor; use the form that returns a new "
         "one.");
  }
  if (info(result.dtype).category > info(self.dtype).category) {
    fail(ErrorKind::Dtype, "result type ", info(result.dtype).scalar_name,
         " can't be cast to the desired output type ", info(self.dtype).scalar_name,
         "\nAn in-place operation keeps its tensor's type; use the form that returns a new ",
         "tensor, or convert the tensor first.");
  }
}

namespace {

// What hooks are to pack of other operands over the memory that is about to change: their values until now.
std::vector<Array> operands_before_change(const Plan& p, const Application& a) {
  std::vector<Array> before(p.rule->saves.size());
  for (size_t k = 0; k < before.size(); ++k) {
    const Save& s = p.rule->saves[k];
    if (s.output || s.index == 0) continue;
    const Array& operand = a.args[p.arguments[s.index]].var->array;
    if (operand.storage == a.args[0].var->array.storage) before[k] = copy_of(operand, *operand.meta);
  }
  return before;
}

// A short result is looked at before it takes the place of the operand that it was made from.
void change_watched(const Plan& p, const Application& a) {
  const Array& self = a.args[0].var->array;
  const Array made = Array::allocate(p.out[0]);
  run_direct(p, a, made.data());
  watch_results(a, {&made, 1});
  std::memcpy(self.data(), made.data(), static_cast<size_t>(made.meta->bytes()));
}

// Whether the program may write over the tensor as it goes.
bool writes_over(const Plan& p, const Application& a) {
  const Array& self = a.args[0].var->array;
  // One value for all elements lies in any order.
  const bool fits = p.out[0].get() == self.meta.get() ||
                    (a.op->uniform && self.meta->is_dense && p.out[0]->dtype == self.meta->dtype);
  if (!fits || !p.forward->may_overwrite_first()) return false;
  return std::ranges::none_of(a.args.subspan(1),
                              [&](const Argument& x) { return x.var && same_memory(x.var->array, self); });
}

inline void check_memory(const Application& a) {
  const Array& self = a.args[0].var->array;
  if (!a.op->uniform) check_no_internal_overlap(self);
  for (size_t i = 1; i < a.args.size() && a.op->apart != Apart::No; ++i)
    if (a.args[i].var) check_no_overlap(self, a.args[i].var->array, a.op->apart == Apart::All);
}

// Torch refuses what an op does not do at all first, then memory that is shared, then sizes, then a type that
// self does not hold, and then types that there is no kernel for.
[[gnu::cold, gnu::noinline]] void refuse_in_order(const Application& a) {
  if (a.op->family == Family::Composite) return;
  std::vector<Operand> in;
  for (const Argument& x : a.args) in.push_back({x.var ? x.var->array.meta.get() : nullptr, x.scalar.kind});
  try {
    Metas out;
    infer(*a.op, in, a.ints, out);
  } catch (const Error& e) {
    const bool no_kernel = e.kind() == ErrorKind::NotImplemented;
    if (no_kernel || e.kind() == ErrorKind::Shape) check_memory(a);
    if (no_kernel && a.op->family == Family::Elementwise)
      check_fits(*elementwise_result(*a.op, in, a.ints), *a.args[0].var->array.meta);
    throw;
  }
}

inline Plan& plan_in_place(const Application& a) {
  Plan* p = nullptr;
  try {
    p = &find_plan(a, needed(a));
  } catch (...) {
    refuse_in_order(a);
    throw;
  }
  check_memory(a);
  return *p;
}

}  // namespace

Ref<Node> apply_in_place(const Application& a) {
  if (has_layers(a)) [[unlikely]]
    return change_transformed(a), nullptr;
  const Var& self = *a.args[0].var;
  Ref<Plan> p(&plan_in_place(a));
  const uint64_t need = p->need;
  for (size_t i = 0; need && i < a.args.size(); ++i)
    if (a.args[i].var) check_not_lost(a.args[i].var->node.get());
  check_fits(*p->out[0], *self.array.meta);
  if (a.op->divides) check_divisor(a);
  Small<Array, 4> results(p->out.size());
  Ref<OperationNode> node;
  if (g_before_change) [[unlikely]]
    g_before_change(self.array);
  // The way back may need the value that is about to be overwritten: then the node keeps a copy of it.
  const bool keeps_self =
      std::ranges::any_of(p->rule->saves, [](const Save& s) { return !s.output && s.index == 0; });
  Array old;
  if (keeps_self) old = copy_of(self.array, *self.array.meta);
  std::vector<Array> packed_operands;
  if (need && g_pack_saved) [[unlikely]]
    packed_operands = operands_before_change(*p, a);
  const bool watched = g_watched & kWatchNonfinite;  // then nothing is overwritten before it was looked at
  if (p->direct && p->out[0].get() == self.array.meta.get() && !keeps_self) {
    if (watched) change_watched(*p, a);
    else run_direct(*p, a, self.array.data());
    results[0] = self.array;
  } else if (writes_over(*p, a) && !watched) {
    run_bound(*p, a, results.span(), true);
  } else {
    // The result is computed beside and copied: short, and right whatever the op reads of itself.
    run_bound(*p, a, results.span());
    watch_results(a, results.span());
    copy_elements(self.array, results[0]);
    // Plans expect the layout that they chose: a tensor of another one is not what the node keeps.
    if (p->out[0].get() == self.array.meta.get()) results[0] = self.array;
  }
  count_change(*self.array.storage);
  if (need) {
    node = OperationNode::make(p, a);
    node->keep(a, results.span());
    for (size_t k = 0; k < p->rule->saves.size(); ++k) {
      const Save& s = p->rule->saves[k];
      if (s.output) continue;
      auto& kept = node->saved()[k];
      if (s.index == 0) kept = {old, old.storage->version};
      else if (!packed_operands.empty() && packed_operands[k].storage) kept = {packed_operands[k], 0};
      // Another operand over the same memory has lost its value: backward says so, as torch does.
      else if (kept.array.storage.get() == self.array.storage.get()) --kept.version;
    }
    if (g_pack_saved) [[unlikely]]
      g_pack_saved(*node);
  }
  return Ref<Node>(node.get());
}

// ---- ops by name -------------------------------------------------------------------------------------------

namespace {

struct Registry {
  std::vector<Op*> all;
  std::unordered_map<std::string, Op*> by_name;
};
Registry& registry() {
  static Registry& r = *new Registry();
  return r;
}

}  // namespace

const Op* find_op(std::string_view name) {
  auto it = registry().by_name.find(std::string(name));
  if (it == registry().by_name.end()) fail(ErrorKind::Runtime, "no op named '", name, "'");
  return it->second;
}

Op* register_op(Op op) {
  Registry& r = registry();
  op.id = static_cast<int>(r.all.size());
  r.all.push_back(new Op(std::move(op)));  // ops live as long as the process: plans and nodes point to them
  r.by_name.insert_or_assign(r.all.back()->name, r.all.back());
  return r.all.back();
}

std::span<Op* const> all_ops() { return registry().all; }

}  // namespace pb
