// Finding again how an op runs on given metas: the plan cache and the rules behind it.
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "runtime/pool.h"
#include "tape/node.h"

namespace pb {

struct Argument {
  const Var* var = nullptr;  // null: the scalar
  Scalar scalar;
};

struct Application {
  const Op* op;
  std::span<const Argument> args;
  std::span<const int64_t> ints;
  uint64_t symbolic = 0;  // which of the ints are sizes that a program takes as parameters
};

// A value that a node keeps.
struct Save {
  bool output;    // else an input
  int32_t index;
};

// What one symbolic key (op, static parameters, dtypes, ranks, which inputs need a gradient) leads to.
class RuleProgram {
 public:
  virtual ~RuleProgram() = default;
  // The backward program for the given outputs' cotangents: inputs are the present cotangents,
  // then all inputs, then all outputs (hidden ones too) of the forward program.
  virtual Ref<Program> backward(uint64_t cotangents) = 0;
  // The same program as an op, to be recorded in its turn.
  virtual const Op* backward_op(uint64_t cotangents) = 0;

  Ref<Program> forward;
  int32_t visible = 1;  // outputs that the caller sees; the rest are kept for the way back
  std::vector<Save> saves;

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) delete this;
  }

 private:
  uint32_t refs_ = 0;
};

struct RuleKey {
  const Op* op;
  uint64_t need;
  std::vector<Operand> operands;
  std::span<const int64_t> ints;
  uint64_t symbolic;
};
// Implemented by the bindings: asks Python to trace.
using MakeRule = Ref<RuleProgram> (*)(const RuleKey& key);
extern MakeRule g_make_rule;

// In a mask of inputs or outputs, those from 63 on share the last bit.
inline uint64_t shared_bit(size_t i) { return uint64_t{1} << (i < 63 ? i : 63); }
// Whether input i needs a gradient.
inline bool needs(uint64_t mask, size_t i) { return (mask & shared_bit(i)) != 0; }

class Plan : public FromPool<Plan> {
 public:
  const Op* op;
  uint64_t need = 0;
  uint64_t symbolic = 0;
  PooledVector<Ref<Meta>> in;             // null: a scalar
  PooledVector<Scalar::Kind> kinds;
  PooledVector<int64_t> ints;
  Ref<RuleProgram> rule;
  Ref<Bound> forward;
  BlockFn direct = nullptr;              // one kernel call on contiguous arrays of the same shape
  bool view = false;                     // the result shares the first input's elements
  PooledVector<Ref<Meta>> out;            // all outputs, hidden ones too
  PooledVector<int32_t> arguments;        // positions of the tensor arguments

  const Bound& backward(uint64_t cotangents, std::span<const Meta* const> metas);

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) delete this;
  }

 private:
  struct Entry {
    uint64_t cotangents;
    PooledVector<Ref<Meta>> metas;
    Ref<Bound> bound;
  };
  static constexpr size_t kEntries = 4;
  PooledVector<Entry> backward_;
  uint32_t refs_ = 0;
};

Plan& find_plan(const Application& a, uint64_t need);
// Which of the arguments need a gradient, in the current grad mode.
uint64_t needed(const Application& a);

struct CacheStatistics { int64_t plan_hits, plan_misses, plans, rules, rule_misses, bindings; };
CacheStatistics cache_statistics();
void clear_plans();   // after a change of what plans depend on beside their key: the default dtype
void clear_caches();

}  // namespace pb
