#include <algorithm>

#include "core/shape.h"
#include "program/binder.h"

namespace pb {
namespace {

constexpr int64_t kLargeResult = 1 << 16;  // bytes, from which it matters where a result is written

}  // namespace

Array Array::allocate(Ref<Meta> meta) {
  Array a;
  a.storage = Storage::allocate(static_cast<size_t>(meta->bytes()));
  a.meta = std::move(meta);
  return a;
}

Ref<Bound> Bound::bind(Ref<Program> program, std::span<const Meta* const> inputs,
                       std::span<const int64_t> params) {
  return Binder(std::move(program), inputs, params).bind();
}

Binder::Binder(Ref<Program> program, std::span<const Meta* const> inputs, std::span<const int64_t> params)
    : bound_(new Bound()),
      p_(*program),
      input_metas_(inputs),
      params_(params) {
  bound_->program_ = std::move(program);
  bound_->locations_.reserve(p_.values.size());
  bound_->buffers_.reserve(p_.values.size());
  bound_->results_.reserve(p_.outputs.size());
  bound_->sizes_.reserve(p_.ints.size());
  metas_.resize(p_.values.size());
  locations_.assign(p_.values.size(), -1);
  consumers_.resize(p_.values.size());
  same_as_.resize(p_.values.size());
  for (size_t v = 0; v < p_.values.size(); ++v) same_as_[v] = static_cast<int32_t>(v);
  find_live();
  for (size_t k = 0; k < p_.instructions.size(); ++k) {
    if (!live_[k] || is_shape_only(p_.instructions[k])) continue;
    for (int32_t v : p_.instructions[k].in) consumers_[v].push_back(static_cast<int32_t>(k));
  }
  // An in-place output is read by a store of its own, which counts as an instruction after the last one.
  const auto count = static_cast<int32_t>(p_.instructions.size());
  for (size_t k = 0; k < p_.outputs.size(); ++k) {
    const bool store = !p_.in_place.empty() && p_.in_place[k] >= 0;
    consumers_[p_.outputs[k]].push_back(store ? count + static_cast<int32_t>(k) : -1);
  }
  group_of_.assign(p_.instructions.size() + p_.outputs.size(), 0);
}

bool Binder::is_shape_only(const Instruction& i) { return i.op->kernel && i.op->kernel->shape_only; }

// An instruction that is there for its shape alone (a size of its result is asked for) is not run.
void Binder::find_live() {
  List<bool> read(p_.values.size(), false, &arena_);
  for (int32_t v : p_.outputs) read[v] = true;
  live_.assign(p_.instructions.size(), false);
  for (size_t k = p_.instructions.size(); k-- > 0;) {
    const Instruction& i = p_.instructions[k];
    for (int32_t o = 0; o < i.outputs; ++o) live_[k] = live_[k] || read[i.first_out + o];
    if (!live_[k] || is_shape_only(i)) continue;
    for (int32_t v : i.in) read[v] = true;
  }
}

Binder::List<int32_t> Binder::resolved(const std::vector<int32_t>& values) const {
  List<int32_t> out(&arena_);
  out.reserve(values.size());
  for (int32_t v : values) out.push_back(same_as_[v]);
  return out;
}

// An op that changes nothing for these sizes: its result is its input, and whoever reads it reads the input.
bool Binder::bind_identity(const Instruction& i, std::span<const int64_t> ints) {
  if (!i.op->kernel->is_identity || !i.op->kernel->is_identity(*metas_[same_as_[i.in[0]]], Ints(ints)))
    return false;
  const int32_t source = same_as_[i.in[0]], result = i.first_out;
  same_as_[result] = source;
  metas_[result] = metas_[source];
  locations_[result] = locations_[source];
  auto& readers = consumers_[source];
  std::erase(readers, current_);
  readers.insert(readers.end(), consumers_[result].begin(), consumers_[result].end());
  return true;
}

Ref<Bound> Binder::bind() {
  for (size_t v = 0; v < p_.values.size(); ++v) {
    const Value& value = p_.values[v];
    if (value.kind != Value::Kind::Input) continue;
    const Meta* meta = input_metas_[value.index];
    if (!meta) continue;
    bound_->buffers_.push_back({Buffer::Kind::Input, value.index, 0, 0});
    metas_[v] = Ref<Meta>(const_cast<Meta*>(meta));
    locations_[v] = add_location(static_cast<int32_t>(bound_->buffers_.size()) - 1, 0, metas_[v]);
  }
  for (size_t k = 0; k < p_.instructions.size(); ++k) {
    current_ = static_cast<int32_t>(k);
    try {
      bind_instruction(p_.instructions[k]);
    } catch (const Error&) {
      // A program made for other sizes may well not fit these: then it is the wrong program, not a user's mistake.
      if (!guards_hold()) return nullptr;
      throw;
    }
  }
  if (!guards_hold()) return nullptr;
  store_in_place();
  close_group();
  finish_outputs();
  if (!p_.ints.empty()) evaluate(static_cast<int32_t>(p_.ints.size()) - 1);
  bound_->sizes_.assign(sizes_.begin(), sizes_.end());
  plan_arena();
  find_addresses();
  find_donors();
  find_overwrite();
  bound_->unlocks_ =
      std::ranges::any_of(bound_->kernels_, [&](const KernelStep& k) { return may_unlock(k); });
  for (const ElementwiseStep& s : bound_->elementwise_)
    bound_->unlocks_ |= s.count * std::max(s.cost, 1) >= kReleaseWork;
  return bound_;
}

// Which expressions can be worked out from what is bound so far?
Binder::List<bool> Binder::known() const {
  List<bool> out(&arena_);
  out.reserve(p_.ints.size());
  for (const IntExpr& e : p_.ints) {
    using K = IntExpr::Kind;
    if (e.kind == K::Const || e.kind == K::Param) out.push_back(true);
    else if (e.kind == K::Size || e.kind == K::Numel) out.push_back(static_cast<bool>(metas_[e.a]));
    else out.push_back(out[e.a] && out[e.b]);
  }
  return out;
}

// Those guards, that is, which can be asked yet.
bool Binder::guards_hold() const {
  if (p_.guards.empty()) return true;
  const List<bool> known = this->known();
  List<int64_t> sizes(&arena_);  // not sizes_: some of these may change yet
  work_out(sizes, p_.ints.size());
  return std::all_of(p_.guards.begin(), p_.guards.end(), [&](const Guard& g) {
    if (!known[g.lhs] || !known[g.rhs]) return true;
    const int64_t a = sizes[g.lhs], b = sizes[g.rhs];
    switch (g.relation) {
      case Guard::Relation::Eq: return (a == b) == g.expected;
      case Guard::Relation::Ne: return (a != b) == g.expected;
      case Guard::Relation::Lt: return (a < b) == g.expected;
      default: return (a <= b) == g.expected;
    }
  });
}

// Of an expression whose values are bound. Those before it are bound then too (Program::verify).
int64_t Binder::evaluate(int32_t expression) {
  work_out(sizes_, static_cast<size_t>(expression) + 1);
  return sizes_[expression];
}

// The first `count` expressions, of which some may be in the list.
void Binder::work_out(List<int64_t>& sizes, size_t count) const {
  while (sizes.size() < count) sizes.push_back(worked_out(p_.ints[sizes.size()], sizes));
}

int64_t Binder::worked_out(const IntExpr& e, std::span<const int64_t> before) const {
  using K = IntExpr::Kind;
  switch (e.kind) {
    case K::Const: return e.a;
    case K::Size: return metas_[e.a] ? metas_[e.a]->size(static_cast<int>(e.b)) : 0;
    case K::Numel: return metas_[e.a] ? metas_[e.a]->numel : 0;
    case K::Param: return params_[e.a];
    default: break;
  }
  const int64_t a = before[e.a], b = before[e.b];
  switch (e.kind) {
    case K::Add: return a + b;
    case K::Sub: return a - b;
    case K::Mul: return a * b;
    case K::FloorDiv: {
      if (b == 0) return 0;
      const int64_t q = a / b;
      return q - ((a % b != 0) && ((a < 0) != (b < 0)));
    }
    case K::Min: return std::min(a, b);
    default: return std::max(a, b);
  }
}

Binder::List<int64_t> Binder::evaluate(const std::vector<Param>& params) {
  List<int64_t> out(&arena_);
  out.reserve(params.size());
  for (const Param& p : params) out.push_back(p.symbolic ? evaluate(static_cast<int32_t>(p.value)) : p.value);
  return out;
}

Operand Binder::operand(int32_t value) const {
  const Value& v = p_.values[value];
  if (v.kind == Value::Kind::Number) return {nullptr, p_.numbers[v.index].constant.kind};
  if (!metas_[value]) fail(ErrorKind::Runtime, "program: input ", v.index, " has no meta");
  return {metas_[value].get(), Scalar::Kind::Int};
}

bool Binder::in_group(int32_t value) const {
  const Value& v = p_.values[value];
  return v.kind == Value::Kind::Result && group_of_[v.index];
}

// A result of the open group is stored if anything outside the group reads it.
bool Binder::needs_memory(int32_t value) const {
  return std::any_of(consumers_[value].begin(), consumers_[value].end(),
                     [&](int32_t k) { return k < 0 || !group_of_[k]; });
}

const Location& Binder::location_of(int32_t value) {
  if (in_group(value)) close_group();
  return bound_->locations_[locations_[value]];
}

void Binder::bind_instruction(const Instruction& i) {
  switch (i.op->family) {
    case Family::Elementwise: return bind_elementwise(i);
    case Family::View: return bind_view(i);
    case Family::Kernel: return bind_kernel(i);
    case Family::Composite:
      fail(ErrorKind::Runtime, "program: composite '", i.op->name, "' was not traced through");
  }
}

// What an instruction gives, by the metas of its operands, which stay in operands_.
const Metas& Binder::results_of(const Instruction& i, std::span<const int64_t> ints) {
  operands_.clear();
  for (int32_t v : i.in) operands_.push_back(operand(v));
  inferred_.clear();
  infer(*i.op, operands_, ints, inferred_);
  return inferred_;
}

void Binder::bind_elementwise(const Instruction& i) {
  const List<int64_t> ints = evaluate(i.params);
  const Ref<Meta> out = results_of(i, ints)[0];
  metas_[i.first_out] = out;
  if (!live_[current_]) return;
  join({i.op, resolved(i.in), i.first_out, elementwise_types(*i.op, operands_, ints), out});
}

// The open group takes one more member if it has the same shape; otherwise it is closed first.
void Binder::join(Member m) {
  if (comes_after_sums(m)) close_group();
  if (!group_.empty()) {
    const bool same = Dims(group_.front().meta->shape()) == Dims(m.meta->shape());
    if (!same && goes_before(m)) return emit_group({&m, 1});
    if (!same || group_.size() >= 48) close_group();
  }
  group_of_[current_] = 1;
  group_.push_back(std::move(m));
}

// A single number that needs nothing of a large open group is a step of its own before it: what is computed
// from both need not go through memory.
bool Binder::goes_before(const Member& m) const {
  constexpr int64_t kLarge = 1024;
  return m.store_to < 0 && m.meta->numel == 1 && group_.front().meta->numel >= kLarge &&
         std::ranges::none_of(m.in, [&](int32_t v) { return in_group(v); });
}

void Binder::bind_view(const Instruction& i) {
  const int32_t source = same_as_[i.in[0]];
  const List<int64_t> ints = evaluate(i.params);
  Ref<Meta> meta;
  int64_t offset = 0;
  if (!live_[current_]) {
    const Operand in[1] = {operand(source)};
    Metas out;
    infer(*i.op, in, ints, out);
    metas_[i.first_out] = out[0];
    return;
  }
  Location from = location_of(source);
  if (!i.op->view->view(*from.meta, Ints(ints), meta, offset)) {
    from = bound_->locations_[packed(locations_[source])];
    i.op->view->view(*from.meta, Ints(ints), meta, offset);
  }
  metas_[i.first_out] = meta;
  locations_[i.first_out] = add_location(from.buffer, from.offset + offset, meta);
}

void Binder::bind_kernel(const Instruction& i) {
  KernelStep step;
  step.op = i.op;
  const List<int64_t> ints = evaluate(i.params);
  step.ints.assign(ints.begin(), ints.end());
  if (live_[current_] && bind_identity(i, step.ints)) return;
  const Metas& out = results_of(i, step.ints);
  if (!live_[current_]) {
    for (int32_t k = 0; k < i.outputs; ++k) metas_[i.first_out + k] = out[k];
    return;
  }
  if (i.op->kernel->summed_axes && join_sum(i, step.ints, out[0])) return;
  for (int32_t v : resolved(i.in)) {
    if (p_.values[v].kind == Value::Kind::Number) {
      step.numbers.push_back(p_.values[v].index);
      continue;
    }
    if (i.op->kernel->shape_only) continue;
    location_of(v);
    step.in.push_back(i.op->kernel->contiguous_inputs ? packed(locations_[v]) : locations_[v]);
  }
  for (int32_t k = 0; k < i.outputs; ++k) {
    metas_[i.first_out + k] = out[k];
    step.out.push_back(locations_[i.first_out + k] = new_location(out[k]));
  }
  bound_->steps_.push_back({-1, static_cast<int32_t>(bound_->kernels_.size())});
  bound_->kernels_.push_back(std::move(step));
}

int32_t Binder::add_location(int32_t buffer, int64_t offset, Ref<Meta> meta) {
  bound_->locations_.push_back({buffer, offset, std::move(meta)});
  return static_cast<int32_t>(bound_->locations_.size()) - 1;
}

int32_t Binder::new_location(Ref<Meta> meta) {
  bound_->buffers_.push_back({Buffer::Kind::Temp, 0, meta->bytes(), 0});
  return add_location(static_cast<int32_t>(bound_->buffers_.size()) - 1, 0, std::move(meta));
}

// Outputs that lie in temporary memory get a storage of their own; outputs that are views share theirs.
void Binder::finish_outputs() {
  for (size_t k = 0; k < p_.outputs.size(); ++k) {
    Bound::Result r;
    if (!p_.in_place.empty() && p_.in_place[k] >= 0) {
      r.input = p_.in_place[k];
      for (size_t v = 0; v < p_.values.size(); ++v) {
        if (p_.values[v].kind == Value::Kind::Input && p_.values[v].index == r.input)
          r.location = locations_[v];
      }
      bound_->results_.push_back(r);
      continue;
    }
    r.location = locations_[same_as_[p_.outputs[k]]];
    Buffer& b = bound_->buffers_[bound_->locations_[r.location].buffer];
    if (b.kind == Buffer::Kind::Input) {
      r.input = b.index;
    } else {
      if (b.kind == Buffer::Kind::Temp) {
        b.kind = Buffer::Kind::Output;
        b.index = static_cast<int32_t>(bound_->new_storages_.size());
        bound_->new_storages_.push_back(bound_->locations_[r.location].buffer);
      }
      r.storage = b.index;
      const auto same = [&](const Bound::Result& other) { return other.storage == r.storage; };
      const auto first = std::ranges::find_if(bound_->results_, same);
      if (first != bound_->results_.end()) r.holder = static_cast<int32_t>(first - bound_->results_.begin());
    }
    bound_->results_.push_back(r);
  }
}

// Temporaries get places in one arena; a place is free again after the last step that touches it.
void Binder::plan_arena() {
  const size_t n = bound_->buffers_.size();
  List<int32_t> first(n, -1, &arena_), last(n, -1, &arena_);
  for (size_t s = 0; s < bound_->steps_.size(); ++s) {
    auto touch = [&](int32_t location) {
      if (location < 0) return;
      const int32_t b = bound_->locations_[location].buffer;
      if (first[b] < 0) first[b] = static_cast<int32_t>(s);
      last[b] = static_cast<int32_t>(s);
    };
    if (const Step& step = bound_->steps_[s]; step.kernel >= 0) {
      for (int32_t l : bound_->kernels_[step.kernel].in) touch(l);
      for (int32_t l : bound_->kernels_[step.kernel].out) touch(l);
    } else {
      const ElementwiseStep& e = bound_->elementwise_[step.elementwise];
      for (const Register& r : e.registers)
        if (r.kind != Register::Kind::Number && r.source >= 0) touch(r.source);
      for (const StoreInstruction& st : e.stores) touch(st.location);
      for (const SumInstruction& sum : e.sums) touch(sum.location);
    }
  }
  struct Free { int64_t offset, bytes; };
  List<Free> free(&arena_);
  for (size_t s = 0; s < bound_->steps_.size(); ++s) {
    for (size_t b = 0; b < n; ++b) {
      Buffer& buffer = bound_->buffers_[b];
      if (buffer.kind != Buffer::Kind::Temp || first[b] != static_cast<int32_t>(s)) continue;
      const int64_t need = (buffer.bytes + 63) / 64 * 64;
      auto fit = std::find_if(free.begin(), free.end(), [&](const Free& f) { return f.bytes >= need; });
      if (fit != free.end()) {
        buffer.offset = fit->offset;
        fit->offset += need;
        fit->bytes -= need;
      } else {
        buffer.offset = bound_->arena_bytes_;
        bound_->arena_bytes_ += need;
      }
    }
    for (size_t b = 0; b < n; ++b) {
      const Buffer& buffer = bound_->buffers_[b];
      if (buffer.kind == Buffer::Kind::Temp && last[b] == static_cast<int32_t>(s))
        free.push_back({buffer.offset, (buffer.bytes + 63) / 64 * 64});
    }
  }
}

// Whether a kernel may take long enough to let other Python threads run. With few elements none does.
bool Binder::may_unlock(const KernelStep& k) const {
  constexpr int64_t kFew = 1024;
  if (k.op->kernel->runs_python) return true;
  int64_t elements = 0;
  for (int32_t l : k.in) elements += bound_->locations_[l].meta->numel;
  for (int32_t l : k.out) elements += bound_->locations_[l].meta->numel;
  return elements > kFew;
}

void Binder::find_addresses() {
  const auto arena = static_cast<int32_t>(bound_->new_storages_.size());
  bound_->addresses_.reserve(bound_->locations_.size());
  for (const Location& l : bound_->locations_) {
    const Buffer& b = bound_->buffers_[l.buffer];
    const bool temporary = b.kind == Buffer::Kind::Temp, input = b.kind == Buffer::Kind::Input;
    const int64_t begin = temporary ? b.offset : 0;
    bound_->addresses_.push_back({temporary ? arena
                                  : input   ? arena + 1 + b.index
                                            : b.index,
                                  begin + l.offset * size_of(l.meta->dtype)});
  }
}

// A result that is alone in new memory: its location, or -1 where views of it were made too.
int32_t Binder::only_location(int32_t buffer) const {
  int32_t only = -1;
  for (size_t l = 0; l < bound_->locations_.size(); ++l) {
    if (bound_->locations_[l].buffer != buffer) continue;
    if (only >= 0) return -1;
    only = static_cast<int32_t>(l);
  }
  return only;
}

// A large result may be written over an input of the same size that nobody needs any more: half the memory traffic.
void Binder::find_donors() {
  bound_->donors_.resize(bound_->new_storages_.size());
  for (size_t k = 0; k < bound_->new_storages_.size(); ++k) {
    const int32_t output = only_location(bound_->new_storages_[k]);
    if (output < 0 || bound_->locations_[output].meta->bytes() < kLargeResult) continue;
    for (size_t l = 0; l < bound_->locations_.size(); ++l) {
      const Buffer& b = bound_->buffers_[bound_->locations_[l].buffer];
      if (b.kind == Buffer::Kind::Input && may_donate(static_cast<int32_t>(l), output))
        bound_->donors_[k].push_back(b.index);
    }
  }
}

// What an in-place operation asks.
void Binder::find_overwrite() {
  if (bound_->results_.empty() || bound_->results_[0].storage < 0 || bound_->results_[0].holder >= 0) return;
  const int32_t output = only_location(bound_->new_storages_[bound_->results_[0].storage]);
  if (output < 0 || bound_->locations_[output].offset != 0) return;
  if (bound_->locations_[output].meta->bytes() < kLargeResult) return;  // is copied in no time
  bool read = false;
  for (size_t l = 0; l < bound_->locations_.size(); ++l) {
    const Buffer& b = bound_->buffers_[bound_->locations_[l].buffer];
    if (b.kind != Buffer::Kind::Input || b.index != 0) continue;
    if (may_donate(static_cast<int32_t>(l), output) || is_changed(static_cast<int32_t>(l), output))
      bound_->may_overwrite_first_ = true;
    read = read || is_touched(bound_->locations_[l].buffer);
  }
  // A kernel in Python may fail half way.
  const bool sure =
      std::ranges::none_of(bound_->kernels_, [](const KernelStep& k) { return k.op->kernel->runs_python; });
  if (!read && sure) bound_->may_overwrite_first_ = true;
}

bool Binder::touches(const Step& step, int32_t buffer) const {
  const auto in_buffer = [&](int32_t l) { return l >= 0 && bound_->locations_[l].buffer == buffer; };
  if (step.kernel >= 0) {
    const KernelStep& k = bound_->kernels_[step.kernel];
    return std::ranges::any_of(k.in, in_buffer) || std::ranges::any_of(k.out, in_buffer);
  }
  const ElementwiseStep& e = bound_->elementwise_[step.elementwise];
  return std::ranges::any_of(
             e.registers,
             [&](const Register& r) { return r.kind != Register::Kind::Number && in_buffer(r.source); }) ||
         std::ranges::any_of(e.stores, [&](const StoreInstruction& s) { return in_buffer(s.location); }) ||
         std::ranges::any_of(e.sums, [&](const SumInstruction& s) { return in_buffer(s.location); });
}

bool Binder::is_touched(int32_t buffer) const {
  return std::ranges::any_of(bound_->steps_, [&](const Step& s) { return touches(s, buffer); });
}

// One kernel alone touches either, reads the input as its first operand and says that it changes that one.
bool Binder::is_changed(int32_t input, int32_t output) const {
  const Location &from = bound_->locations_[input], &to = bound_->locations_[output];
  if (from.offset != 0 || from.meta.get() != to.meta.get()) return false;
  const KernelStep* only = nullptr;
  for (const Step& step : bound_->steps_) {
    if (!touches(step, from.buffer) && !touches(step, to.buffer)) continue;
    if (only || step.kernel < 0) return false;
    only = &bound_->kernels_[step.kernel];
  }
  if (!only || !only->op->kernel->changes_first || only->in[0] != input || only->out[0] != output)
    return false;
  return std::ranges::none_of(std::span(only->in).subspan(1), [&](int32_t l) {
    return l >= 0 && bound_->locations_[l].buffer == from.buffer;
  });
}

// Both lie linearly in one elementwise step, which is the only one to touch either, the result after the last read.
bool Binder::may_donate(int32_t input, int32_t output) const {
  const Location &from = bound_->locations_[input], &to = bound_->locations_[output];
  if (from.offset != 0 || from.meta->bytes() != to.meta->bytes()) return false;
  if (size_of(from.meta->dtype) != size_of(to.meta->dtype)) return false;
  for (const Bound::Result& r : bound_->results_)
    if (r.input == bound_->buffers_[from.buffer].index) return false;
  const ElementwiseStep* only = nullptr;
  for (const Step& step : bound_->steps_) {
    if (!touches(step, from.buffer) && !touches(step, to.buffer)) continue;
    if (only || step.kernel >= 0) return false;
    only = &bound_->elementwise_[step.elementwise];
  }
  if (!only || !only->stores.empty()) return false;
  int32_t in = -1, out = -1;
  for (size_t r = 0; r < only->registers.size(); ++r) {
    const Register& reg = only->registers[r];
    if (reg.kind == Register::Kind::Number || reg.source < 0) continue;
    const int32_t buffer = bound_->locations_[reg.source].buffer;
    if (buffer != from.buffer && buffer != to.buffer) continue;
    int32_t& which = buffer == from.buffer ? in : out;
    if (which >= 0 || reg.kind != Register::Kind::Linear) return false;
    which = static_cast<int32_t>(r);
  }
  if (in < 0 || out < 0) return false;
  int32_t written = -1, last_read = -1;
  for (size_t k = 0; k < only->body.size(); ++k) {
    const BlockInstruction& i = only->body[k];
    if (i.out == out && written < 0) written = static_cast<int32_t>(k);
    if (i.a == in || i.b == in || i.c == in) last_read = static_cast<int32_t>(k);
  }
  return written >= 0 && last_read <= written;
}

}  // namespace pb
