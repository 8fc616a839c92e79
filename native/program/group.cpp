// The open group of elementwise instructions becomes one step: registers, loads, stores, scratch.
#include <algorithm>
#include <map>

#include "core/shape.h"
#include "program/binder.h"

namespace pb {
namespace {

const BlockRow& copy_row() {
  static const BlockRow* row = [] {
    for (const BlockRow& r : kernels().elementwise)
      if (std::string_view(r.name) == "copy") return &r;
    fail(ErrorKind::Runtime, "kernel 'copy' is missing");
  }();
  return *row;
}

const Op& copy_op() {
  static const Op op = [] {
    Op o;
    o.name = "copy";
    o.family = Family::Elementwise;
    o.block = &copy_row();
    return o;
  }();
  return op;
}


}  // namespace

struct Binder::Lowering {
  Lowering(Binder& b, std::span<const Member> m, std::span<const Sum> s = {})
      : binder(b),
        bound(*b.bound_),
        members(m),
        sums(s) {}

  Binder& binder;
  Bound& bound;
  std::span<const Member> members;
  std::span<const Sum> sums;
  ElementwiseStep step;
  Dims shape;                             // full iteration shape
  int order[kMaxDims];                    // axes, outermost first
  List<int32_t> touched{&binder.arena_};  // locations read or written
  List<Dims> full{&binder.arena_};        // their strides over the ordered shape
  std::pmr::map<std::pair<int32_t, int>, int32_t> register_of{&binder.arena_};  // (value, dtype) -> register

  void run() {
    shape = Dims(members.front().meta->shape());
    step.count = members.front().meta->numel;
    collect();
    collapse();
    step.registers.reserve(touched.size() + 2 * members.size());
    step.body.reserve(members.size());
    for (const Member& m : members) lower(m);
    for (const Sum& s : sums) lower_sum(s);
    find_early_stores();
    assign_scratch();
    for (const Register& r : step.registers)
      step.widest = std::max(step.widest, static_cast<int32_t>(size_of(r.dtype)));
    step.simple = step.body.size() == 1 && step.stores.empty() && step.sums.empty() &&
                  std::all_of(step.registers.begin(), step.registers.end(),
                              [](const Register& r) { return r.kind == Register::Kind::Linear; });
    bound.steps_.push_back({static_cast<int32_t>(bound.elementwise_.size()), -1});
    bound.elementwise_.push_back(std::move(step));
  }

  void touch(int32_t location) {
    if (std::find(touched.begin(), touched.end(), location) == touched.end()) touched.push_back(location);
  }

  // Every array that the step reads or writes, and the order of axes in which the first result is written.
  void collect() {
    const Meta* primary = members.front().meta.get();
    for (const Member& m : members) {
      for (int32_t v : m.in) {
        if (binder.p_.values[v].kind == Value::Kind::Number || binder.in_group(v)) continue;
        touch(binder.locations_[v]);
      }
      if (m.store_to >= 0) {
        touch(m.store_to);
        primary = bound.locations_[m.store_to].meta.get();
      } else if (binder.needs_memory(m.value)) {
        binder.locations_[m.value] = binder.new_location(m.meta);
        touch(binder.locations_[m.value]);
        primary = m.meta.get();
      }
    }
    for (int i = 0; i < shape.n; ++i) order[i] = i;
    if (!primary->is_contiguous) {
      std::stable_sort(order, order + shape.n,
                       [&](int a, int b) { return primary->stride(a) > primary->stride(b); });
    }
  }

  void collapse() {
    for (int32_t l : touched) {
      const Meta& meta = *bound.locations_[l].meta;
      const int shift = shape.n - meta.ndim;
      Dims s;
      for (int k = 0; k < shape.n; ++k) {
        const int axis = order[k] - shift;
        const bool broadcast = axis < 0 || meta.size(axis) == 1;
        s.push(broadcast ? 0 : meta.stride(axis));
      }
      full.push_back(s);
    }
    Dims kept;  // ordered axes that remain, merged where every array allows it
    for (int k = 0; k < shape.n; ++k) kept.push(shape[order[k]]);
    for (int k = kept.n - 1; k >= 0; --k) {
      if (kept[k] != 1) continue;
      kept.erase(k);
      for (Dims& s : full) s.erase(k);
    }
    for (int k = kept.n - 2; k >= 0; --k) {
      const bool merge = std::all_of(full.begin(), full.end(),
                                     [&](const Dims& s) { return s[k] == s[k + 1] * kept[k + 1]; });
      if (!merge) continue;
      kept[k + 1] *= kept[k];
      kept.erase(k);
      for (Dims& s : full) s.erase(k);
    }
    step.shape = kept;
  }

  int32_t add(Register r) {
    step.registers.push_back(r);
    return static_cast<int32_t>(step.registers.size()) - 1;
  }

  const Dims& strides_of(int32_t location) const {
    return full[std::find(touched.begin(), touched.end(), location) - touched.begin()];
  }
  bool linear(int32_t location) const { return strides_of(location) == contiguous_strides(step.shape); }
  int32_t keep_strides(int32_t location) {
    step.strides.push_back(strides_of(location));
    return static_cast<int32_t>(step.strides.size()) - 1;
  }

  int32_t load(int32_t location) {
    const DType d = bound.locations_[location].meta->dtype;
    const Dims& s = strides_of(location);
    if (step.count > 0 && linear(location)) return add({Register::Kind::Linear, d, location, -1, -1});
    if (std::all_of(s.v, s.v + s.n, [](int64_t x) { return x == 0; }))
      return add({Register::Kind::Spread, d, location, -1, -1});
    return add({Register::Kind::Strided, d, location, -1, keep_strides(location)});
  }

  // The register that holds `value` as type `want`; casts are instructions of the step.
  int32_t read(int32_t value, DType want) {
    const std::pair key{value, static_cast<int>(want)};
    if (auto it = register_of.find(key); it != register_of.end()) return it->second;
    const Value& v = binder.p_.values[value];
    if (v.kind == Value::Kind::Number)
      return register_of[key] = add({Register::Kind::Number, want, v.index, -1, -1});
    const DType have = binder.metas_[value]->dtype;
    if (have == want) return register_of[key] = load(binder.locations_[value]);
    const int32_t from = read(value, have);
    const int32_t to = add({Register::Kind::Block, want, -1, -1, -1});
    emit(kernels().cast(have, want), to, from, from, from);
    return register_of[key] = to;
  }

  void emit(BlockFn fn, int32_t out, int32_t a, int32_t b, int32_t c) {
    step.registers[out].written = true;
    step.body.push_back({fn, static_cast<uint16_t>(out), static_cast<uint16_t>(a), static_cast<uint16_t>(b),
                         static_cast<uint16_t>(c)});
  }

  void lower(const Member& m) {
    if (m.store_to >= 0) return lower_store(m);
    const DType c = m.types.compute;
    int32_t in[3];
    for (size_t k = 0; k < 3; ++k) {
      const bool condition = m.op->typing == Typing::Where && k == 0;
      in[k] = k < m.in.size() ? read(m.in[k], condition ? DType::Bool : c) : in[0];
    }
    BlockFn fn = m.op->block->fn[static_cast<int>(c)];
    if (m.op->typing == Typing::Cast) fn = copy_row().fn[static_cast<int>(c)];
    if (!fn)
      fail(ErrorKind::NotImplemented, "\"", m.op->name, "_cpu\" not implemented for '", info(c).scalar_name,
           "'");
    const int32_t location = binder.locations_[m.value];
    int32_t out;
    if (location >= 0 && linear(location)) {
      out = add({Register::Kind::Linear, m.types.out, location, -1, -1});
    } else {
      out = add({Register::Kind::Block, m.types.out, -1, -1, -1});
      if (location >= 0)
        step.stores.push_back({static_cast<uint16_t>(out), location, keep_strides(location)});
    }
    step.cost += m.op->block->cost;
    emit(fn, out, in[0], in[1], in[2]);
    register_of[{m.value, static_cast<int>(m.types.out)}] = out;
  }

  void lower_sum(const Sum& s) {
    const int32_t from = register_of.at({s.value, static_cast<int>(binder.metas_[s.value]->dtype)});
    step.sums.push_back({static_cast<uint16_t>(from), binder.locations_[s.result]});
    step.sum_run = binder.sum_run_;
    step.cost += 1;
  }

  // In-place results are committed at the end of a block, after everything that reads the old elements.
  void lower_store(const Member& m) {
    const DType want = bound.locations_[m.store_to].meta->dtype;
    int32_t from = read(m.in[0], want);
    if (step.registers[from].kind != Register::Kind::Block) {
      const int32_t block = add({Register::Kind::Block, want, -1, -1, -1});
      emit(copy_row().fn[static_cast<int>(want)], block, from, from, from);
      from = block;
    }
    step.cost += 1;
    step.stores.push_back(
        {static_cast<uint16_t>(from), m.store_to, linear(m.store_to) ? -1 : keep_strides(m.store_to)});
  }

  // A linear store may take place at its instruction, if what it overwrites has been read by then.
  void find_early_stores() {
    for (StoreInstruction& st : step.stores) {
      const auto same = [&](const StoreInstruction& other) { return other.from == st.from; };
      if (st.strides >= 0 || std::count_if(step.stores.begin(), step.stores.end(), same) != 1) continue;
      bool made = false, early = true;
      for (const BlockInstruction& i : step.body) {
        for (uint16_t r : {i.a, i.b, i.c})
          early = early && !(made && !step.registers[r].written && step.registers[r].source == st.location);
        made = made || i.out == st.from;
      }
      st.early = made && early;
    }
  }

  // Blocks share scratch once their last reader has run; loads and numbers keep theirs for the whole step.
  void assign_scratch() {
    const size_t n = step.registers.size();
    List<int32_t> last(n, -1, &binder.arena_);
    const auto end = static_cast<int32_t>(step.body.size());
    for (int32_t k = 0; k < end; ++k) {
      const BlockInstruction& b = step.body[k];
      for (uint16_t r : {b.a, b.b, b.c}) last[r] = k;
    }
    for (const StoreInstruction& s : step.stores) last[s.from] = end;
    for (const SumInstruction& s : step.sums) last[s.from] = end;
    for (Register& r : step.registers)
      if (r.kind != Register::Kind::Linear && r.kind != Register::Kind::Block)
        r.scratch = step.scratch_blocks++;
    List<int32_t> free(&binder.arena_);
    for (int32_t k = 0; k < end; ++k) {
      const BlockInstruction& b = step.body[k];
      Register& out = step.registers[b.out];
      // An input whose last reader this is may give its scratch to the output: kernels allow exact aliases
      // of the same width only, so a cast takes fresh scratch.
      for (uint16_t r : {b.a, b.b, b.c}) {
        Register& in = step.registers[r];
        if (in.kind == Register::Kind::Block && last[r] == k && size_of(in.dtype) == size_of(out.dtype) &&
            std::find(free.begin(), free.end(), in.scratch) == free.end())
          free.push_back(in.scratch);
      }
      if (out.kind == Register::Kind::Block) {
        if (free.empty()) {
          out.scratch = step.scratch_blocks++;
        } else {
          out.scratch = free.back();
          free.pop_back();
        }
      }
      for (uint16_t r : {b.a, b.b, b.c}) {
        Register& in = step.registers[r];
        if (in.kind == Register::Kind::Block && last[r] == k && in.scratch != out.scratch &&
            std::find(free.begin(), free.end(), in.scratch) == free.end())
          free.push_back(in.scratch);
      }
    }
  }
};

void Binder::emit_group(std::span<const Member> members, std::span<const Sum> sums) {
  Lowering(*this, members, sums).run();
}

namespace {

// How many elements lie side by side that are added to one, if the axes are the last ones; else 0.
int64_t summed_run(const Meta& m, uint32_t axes) {
  int64_t run = 1;
  bool ended = false;
  for (int a = m.ndim; a-- > 0;) {
    if (m.size(a) == 1) continue;
    const bool summed = axes >> a & 1;
    if (ended && summed) return 0;
    if (summed) run *= m.size(a);
    else ended = true;
  }
  return run;
}

}  // namespace

// A sum over what the open group makes need not read it from memory: the group ends with it.
bool Binder::join_sum(const Instruction& i, std::span<const int64_t> ints, const Ref<Meta>& out) {
  constexpr int64_t kLarge = 4096, kLongRun = 128;
  const int32_t value = same_as_[i.in[0]];
  if (!in_group(value) || std::ranges::any_of(sums_, [&](const Sum& s) { return s.result == value; }))
    return false;
  const Meta& m = *metas_[value];
  if (m.numel < kLarge || !is_float(m.dtype) || out->dtype != m.dtype) return false;
  const int64_t run = summed_run(m, i.op->kernel->summed_axes(m, Ints(ints)));
  if (run < kLongRun) return false;
  if (!sums_.empty() && (run != sum_run_ || m.dtype != metas_[sums_[0].value]->dtype)) return false;
  const auto in_order = [](const Member& x) { return x.store_to < 0 && x.meta->is_contiguous; };
  if (!std::ranges::all_of(group_, in_order)) return false;
  metas_[i.first_out] = out;
  locations_[i.first_out] = new_location(out);
  sums_.push_back({value, i.first_out});
  sum_run_ = run;
  group_of_[current_] = 1;
  return true;
}

// Sums are known when the group has run, and are of elements in the order of their memory.
bool Binder::comes_after_sums(const Member& m) const {
  if (sums_.empty()) return false;
  return m.store_to >= 0 || !m.meta->is_contiguous || std::ranges::any_of(m.in, [&](int32_t v) {
           return std::ranges::any_of(sums_, [&](const Sum& s) { return s.result == v; });
         });
}

void Binder::close_group() {
  if (group_.empty()) return;
  List<Member> members(&arena_);
  List<Sum> sums(&arena_);
  members.swap(group_);
  sums.swap(sums_);
  emit_group(members, sums);
  std::fill(group_of_.begin(), group_of_.end(), 0);
}

// Does the open group read the memory that `store` overwrites in another order than it is written?
bool Binder::reads_target_otherwise(const Member& store) const {
  const Location& target = bound_->locations_[store.store_to];
  for (const Member& m : group_) {
    for (int32_t v : m.in) {
      if (p_.values[v].kind == Value::Kind::Number || in_group(v)) continue;
      const Location& l = bound_->locations_[locations_[v]];
      if (l.buffer == target.buffer && (l.meta.get() != target.meta.get() || l.offset != target.offset))
        return true;
    }
  }
  return false;
}

void Binder::store_in_place() {
  for (size_t k = 0; k < p_.outputs.size() && !p_.in_place.empty(); ++k) {
    if (p_.in_place[k] < 0) continue;
    int32_t target = -1;
    for (size_t v = 0; v < p_.values.size(); ++v)
      if (p_.values[v].kind == Value::Kind::Input && p_.values[v].index == p_.in_place[k])
        target = locations_[v];
    const int32_t source = same_as_[p_.outputs[k]];
    const Ref<Meta> meta = bound_->locations_[target].meta;
    Dims both(meta->shape());
    const bool fits = broadcast_into(both, metas_[source]->shape()) && both == Dims(meta->shape());
    if (!fits) {
      fail(ErrorKind::Shape, "output with shape ", shape_text(meta->shape()),
           " doesn't match the broadcast shape ", shape_text(metas_[source]->shape()),
           "\nAn in-place operation cannot change the shape of its tensor; use the form that returns a new "
           "one.");
    }
    Member m{&copy_op(), List<int32_t>({source}, &arena_), -1, {meta->dtype, meta->dtype}, meta, target};
    if (!(Dims(metas_[source]->shape()) == both)) location_of(source);
    if (!group_.empty() && reads_target_otherwise(m)) close_group();
    current_ = static_cast<int32_t>(p_.instructions.size() + k);
    join(std::move(m));
  }
}

int32_t Binder::packed(int32_t location) {
  const Location from = bound_->locations_[location];
  if (from.meta->is_contiguous) return location;
  // A step of its own beside the open group, which does not depend on it.
  const int32_t to = new_location(Meta::contiguous(from.meta->dtype, from.meta->shape()));
  Lowering l(*this, {});
  l.shape = Dims(from.meta->shape());
  l.step.count = from.meta->numel;
  for (int i = 0; i < l.shape.n; ++i) l.order[i] = i;
  l.touch(location);
  l.touch(to);
  l.collapse();
  const int32_t in = l.load(location);
  const int32_t out = l.add({Register::Kind::Linear, from.meta->dtype, to, -1, -1});
  l.emit(copy_row().fn[static_cast<int>(from.meta->dtype)], out, in, in, in);
  l.step.cost = 1;
  l.step.widest = static_cast<int32_t>(size_of(from.meta->dtype));
  l.assign_scratch();
  bound_->steps_.push_back({static_cast<int32_t>(bound_->elementwise_.size()), -1});
  bound_->elementwise_.push_back(std::move(l.step));
  return to;
}

}  // namespace pb
